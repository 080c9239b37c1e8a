// Package loopback distinguishes clients on this machine from proxies on it. It inspects the process at the other end
// of a loopback connection, because requests that a proxy forwards without adding headers (nginx can, as can HAProxy,
// socat and stunnel) are otherwise the same as those of a client.
//
// A process counts as a client if it runs as root or as the user of this process, and cannot forward requests of
// others: it listens on no TCP port, holds no accepted TCP connection and has no virtual network device. A process that
// cannot be inspected is not trusted. That includes processes of root for a mirror that does not run as root, processes
// in other containers, and all processes on systems other than Linux.
package loopback

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Checker checks connections. It is safe for concurrent use.
type Checker struct {
	upstreams map[uint16]bool
	mu        sync.Mutex // one inspection at a time
	verdicts  *lru.Cache[socket, verdict]
	clients   map[string]time.Time // processes that held a socket alone, and until when they are inspected first
}

// socket identifies the other end of a connection.
type socket struct {
	remote, local netip.AddrPort
	inode         uint64
}

type verdict struct {
	err   error
	until time.Time
}

const (
	maxVerdicts = 1024
	trustTTL    = 10 * time.Second // how long a client is trusted without another inspection
	refuseTTL   = time.Second      // how long a refusal is reused, so that requests cannot cause any number of inspections
)

// New returns a checker. A process that listens on one of the ports of upstreams on this machine may still be a client:
// it serves the mirror there.
func New(upstreams ...uint16) *Checker {
	j := &Checker{upstreams: make(map[uint16]bool), clients: make(map[string]time.Time)}
	for _, port := range upstreams {
		j.upstreams[port] = true
	}
	j.verdicts, _ = lru.New[socket, verdict](maxVerdicts) // fails only for sizes below 1
	return j
}

var errNotFound = errors.New("no process that the mirror can see holds the other end of the connection")

// Check returns nil if the other end of a connection belongs to a client on this machine. The error says why it may
// not. The connection goes from remote to local.
func (j *Checker) Check(remote, local netip.AddrPort) error {
	remote, local = unmap(remote), unmap(local)
	j.mu.Lock()
	defer j.mu.Unlock()
	entry, err := findSocket(remote, local)
	if err != nil {
		return err
	}
	key := socket{remote, local, entry.inode}
	if known, ok := j.verdicts.Get(key); ok && time.Now().Before(known.until) {
		return known.err
	}
	err = j.inspect(entry)
	if again, gone := findSocket(remote, local); err == nil && (gone != nil || again.inode != entry.inode) {
		return errNotFound // the inspected socket may be another one
	}
	trust := trustTTL
	if err != nil {
		trust = refuseTTL
	}
	j.verdicts.Add(key, verdict{err, time.Now().Add(trust)})
	return err
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
