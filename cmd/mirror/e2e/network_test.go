//go:build e2e

package e2e_test

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

// freePort returns a port of loopback that nobody listens on and that is not handed out twice. It lies below those that
// the kernel gives to outgoing connections: a server that restarts on its port must not find it taken by one.
func freePort(t *testing.T) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.next == 0 {
		ports.next = 20000 + rand.IntN(10000)
	}
	for range 100 {
		ports.next++
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", ports.next))
		if err == nil {
			listener.Close()
			return ports.next
		}
	}
	t.Fatal("found no free port")
	return 0
}

// freeAddr is freePort as an address to listen on.
func freeAddr(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", freePort(t))
}

// isolatedNetwork makes a network namespace with loopback in it and nothing else, no route, no DNS, and returns what to
// put in front of a command that is to run there.
func isolatedNetwork(t *testing.T) []string {
	t.Helper()
	need(t, "root", "ip", "nsenter")
	name := fmt.Sprintf("mirror-e2e-%d", freePort(t))
	env := environment(t)
	run(t, env, "ip", "netns", "add", name)
	t.Cleanup(func() {
		if r := try(t, env, "ip", "netns", "delete", name); r.code != 0 {
			t.Errorf("deleting the network namespace: %s", r.stderr)
		}
	})
	// Not `ip netns exec`, which mounts another /sys as well: dockerd finds no cgroups there.
	inside := []string{"nsenter", "--net=/run/netns/" + name}
	run(t, env, append(inside, "ip", "link", "set", "lo", "up")...)
	return inside
}
