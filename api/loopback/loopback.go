// Package loopback tells a client on this machine from a proxy on it, by the process at the other end of a connection over
// loopback. What a proxy passes on untouched, as nginx without a header of its own, HAProxy, socat and stunnel do, looks
// like a request of this machine in every other way.
//
// A connection is that of a client if the process that holds the other end runs as root or as the account of this
// process, and is in no position to pass on what somebody else sends: it listens on no TCP port, holds no TCP connection
// that it has accepted, and has no virtual network device. A process that cannot be looked at is not trusted: that of root
// for a mirror that does not run as root, one in another container, and all of them on systems other than Linux.
package loopback

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Checker judges connections. It is safe for concurrent use.
type Checker struct {
	upstreams map[uint16]bool
	mu        sync.Mutex // one look at a time
	verdicts  *lru.Cache[socket, verdict]
}

// socket is the other end of a connection, as long as there is that.
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
	trustTTL    = 10 * time.Second // how long a client counts as one without another look
	refuseTTL   = time.Second      // the same for what is none: a flood of requests is not to be a flood of looks
)

// New returns a judge. A process may listen on the ports of upstreams on this machine and be a client all the same: it
// serves the mirror there, and nobody else by way of the mirror.
func New(upstreams ...uint16) *Checker {
	j := &Checker{upstreams: make(map[uint16]bool)}
	for _, port := range upstreams {
		j.upstreams[port] = true
	}
	j.verdicts, _ = lru.New[socket, verdict](maxVerdicts) // fails for no size but those below 1
	return j
}

var errNotFound = errors.New("no process on this machine holds the other end of the connection, as far as the mirror can see")

// Check returns nil if a connection to local, which came from remote, is that of a client on this machine; else why it
// may be somebody else's.
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
		return errNotFound // what was seen may be of another one
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
