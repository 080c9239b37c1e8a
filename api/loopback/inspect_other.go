//go:build !linux

package loopback

import (
	"errors"
	"net/netip"
)

// entry is a socket that cannot be looked for here.
type entry struct{ inode uint64 }

func find(_, _ netip.AddrPort) (entry, error) {
	return entry{}, errors.New("this system does not say which process is at the other end of a connection")
}

func (j *Judge) look(entry) error { return errNotFound }
