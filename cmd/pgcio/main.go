package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // zone = "Europe/Berlin" must not depend on the machine
)

func main() {
	ctx := untilSignal()
	os.Exit(execute(ctx, os.Args[1:], console{
		stdin:  os.Stdin,
		stdout: os.Stdout,
		stderr: os.Stderr,
		getenv: os.LookupEnv,
	}))
}

// untilSignal is a context that the first SIGINT or SIGTERM ends. Before it ends
// they have their usual effect again, so that a second one exits at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-asked
		signal.Stop(asked)
		cancel()
	}()
	return ctx
}
