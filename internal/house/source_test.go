package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// httpClients are the names of net/http with which requests are made, and
// clientsIn is where that is done: Customer.io is spoken to in sink, the daemon's
// own unix socket in one file of cmd.
var (
	httpClients = []string{"Client", "DefaultClient", "Transport", "DefaultTransport",
		"Get", "Head", "Post", "PostForm", "NewRequest", "NewRequestWithContext"}
	clientsIn = []string{"sink", "cmd/pgcio/control.go"}
)

// file is what the rules look at in a source file.
type file struct {
	name    string // within the module
	test    bool
	imports []string
	doc     bool     // has a package comment
	init    bool     // declares func init
	clients []string // names of httpClients it uses
}

// parse reads all files of a package, whatever their build tags.
func (p *listed) parse(t *testing.T) {
	t.Helper()
	for _, name := range slices.Concat(p.GoFiles, p.IgnoredGoFiles, p.TestGoFiles, p.XTestGoFiles) {
		if !strings.HasSuffix(name, ".go") {
			continue
		}
		src, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		f, err := read(filepath.ToSlash(filepath.Join(p.name(), name)), src)
		if err != nil {
			t.Fatal(err)
		}
		p.files = append(p.files, f)
	}
}

func read(name string, src []byte) (file, error) {
	f := file{name: name, test: strings.HasSuffix(name, "_test.go")}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments)
	if err != nil {
		return f, err
	}
	f.doc = parsed.Doc != nil
	http := ""
	for _, spec := range parsed.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return f, err
		}
		f.imports = append(f.imports, imp)
		if imp == "net/http" {
			http = "http"
			if spec.Name != nil {
				http = spec.Name.Name
			}
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			f.init = f.init || n.Recv == nil && n.Name.Name == "init"
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && http != "" && x.Name == http && slices.Contains(httpClients, n.Sel.Name) {
				f.clients = append(f.clients, "http."+n.Sel.Name)
			}
		}
		return true
	})
	return f, nil
}

func checkHTTPClients(pkgs []listed) (complaints []string) {
	for _, p := range pkgs {
		for _, f := range p.files {
			if !f.test && len(f.clients) > 0 && !withinAny(f.name, clientsIn) {
				complaints = append(complaints, f.name+" uses "+strings.Join(f.clients, ", ")+": HTTP clients belong into "+strings.Join(clientsIn, ", "))
			}
		}
	}
	return complaints
}

// homePattern finds a path in somebody's home.
var homePattern = regexp.MustCompile(`/(home|Users)/[a-z][a-z0-9._-]*/[A-Za-z0-9._-]+`)

// TestNoMachinePaths looks for traces of the machine that a file was made on.
func TestNoMachinePaths(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	root := strings.TrimSpace(string(out))
	err = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", "bin", "node_modules"}, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil || !d.Type().IsRegular() || info.Size() > 1<<20 {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if found := machinePath(string(b), root); found != "" {
			rel, _ := filepath.Rel(root, path)
			t.Errorf("%s names %s, a path of the machine it was made on", rel, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// machinePath finds such a path. A checkout at /src or so is no trace.
func machinePath(text, root string) string {
	if strings.Count(root, "/") > 1 && strings.Contains(text, root) {
		return root
	}
	return homePattern.FindString(text)
}
