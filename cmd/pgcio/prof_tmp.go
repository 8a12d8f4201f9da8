package main

import (
	"fmt"
	"os"
	"runtime/pprof"
	"time"
)

func init() {
	p := os.Getenv("PGCIO_PROF")
	if p == "" || len(os.Args) < 2 || os.Args[1] != "run" {
		return
	}
	f, _ := os.Create(fmt.Sprintf("%s.%d", p, os.Getpid()))
	pprof.StartCPUProfile(f)
	go func() {
		for i := 0; ; i++ {
			time.Sleep(3 * time.Second)
			h, _ := os.Create(fmt.Sprintf("%s.heap.%d.%d", p, os.Getpid(), i))
			pprof.Lookup("heap").WriteTo(h, 0)
			h.Close()
			if i == 3 {
				pprof.StopCPUProfile()
				f.Close()
			}
		}
	}()
}
