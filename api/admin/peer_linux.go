package admin

import (
	"context"
	"net"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

type peerKey struct{}

// WithPeerCredentials returns a context that carries the user at the other end of a connection to a socket of [Listen]. It
// is a [net/http.Server.ConnContext].
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

// PeerUser returns the name of the user that sent a request, or the ID of a user without a name. For a request from this
// process it is the user that the process runs as.
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
