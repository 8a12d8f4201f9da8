// Package house holds no code. Its test keeps the house of docs/DESIGN.md in
// order: which package may import which, where a library may be used, and the
// habits that a machine can check. The rules are the tables at the top of
// house_test.go.
package house
