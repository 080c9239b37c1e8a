// Package testport hands out ports for servers that tests start as processes. Tests in processes listen on port 0 instead.
package testport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

var ports struct {
	sync.Mutex
	next int
}

// Free returns a port of loopback that nobody listens on and that is not handed out twice. It lies below those that the
// kernel gives to outgoing connections: a server that starts later, or restarts, must not find it taken by one of them.
func Free(t testing.TB) int {
	t.Helper()
	port, err := find()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Address returns a port from [Free] as an address to listen on, 127.0.0.1:port.
func Address(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", Free(t))
}

// FindAddress is [Address] where there is no test to fail.
func FindAddress() (string, error) {
	port, err := find()
	return fmt.Sprintf("127.0.0.1:%d", port), err
}

func find() (port int, err error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.next == 0 {
		ports.next = 10000 + rand.IntN(20000)
	}
	for range 100 {
		ports.next++
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", ports.next))
		if err == nil {
			return ports.next, listener.Close()
		}
	}
	return 0, fmt.Errorf("found no free port up to %d", ports.next)
}
