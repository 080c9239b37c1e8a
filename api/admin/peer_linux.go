package admin

import (
	"context"
	"net"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

type peerKey struct{}

// WithPeerCredentials returns a context of requests that come by a connection of a socket of [Listen].
func WithPeerCredentials(ctx context.Context, conn net.Conn) context.Context {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return ctx
	}
	var cred *unix.Ucred
	if raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) != nil || err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, int(cred.Uid))
}

// PeerUser returns the name of who sent a request, as this machine knows it, and its process's for one that came from within;
// the number of an account that has no name.
func PeerUser(ctx context.Context) string {
	if uid, ok := ctx.Value(peerKey{}).(int); ok {
		number := strconv.Itoa(uid)
		if account, err := user.LookupId(number); err == nil {
			return account.Username
		}
		return number
	}
	return processUser()
}
