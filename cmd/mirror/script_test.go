package main

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the commands as a person would type them.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			env.Setenv("ADDR", listener.Addr().String())
			return listener.Close()
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"answers": answers},
	})
}

// answers URL: waits until the URL is answered.
func answers(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := http.Get(args[0])
		if err == nil {
			fmt.Fprintln(ts.Stdout(), resp.Status)
			resp.Body.Close()
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s is not answered: %v", args[0], err)
		}
	}
}
