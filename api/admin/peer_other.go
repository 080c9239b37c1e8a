//go:build !linux

package admin

import (
	"context"
	"net"
)

// WithPeerCredentials returns ctx: the user at the other end of a socket is not known on this system.
func WithPeerCredentials(ctx context.Context, _ net.Conn) context.Context { return ctx }

// PeerUser returns the name of the user that this process runs as, which is the only user that can connect to its socket.
func PeerUser(context.Context) string { return processUser() }
