package loopback

import (
	"errors"
	"sync"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// kernel is the connection to the kernel that all queries share.
var kernel queries

// queries sends queries about sockets to the kernel, one at a time. It keeps its netlink socket open: a new one for each
// query takes ten times as many system calls as the query. The zero value is ready to use.
type queries struct {
	mu     sync.Mutex
	socket *nl.SocketHandle // nil before the first query and after a failed one
}

// execute sends a query and returns the replies. [unix.ENOENT] is the reply that there is no such socket.
func (q *queries) execute(request *nl.NetlinkRequest) ([][]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.socket == nil {
		socket, err := openSocket()
		if err != nil {
			return nil, err
		}
		q.socket = &nl.SocketHandle{Socket: socket}
	}
	request.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_INET_DIAG: q.socket}
	replies, err := request.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		q.socket.Close() // what it receives next may be a late reply
		q.socket = nil
	}
	return replies, err
}

// openSocket opens a netlink socket in the network namespace of this process.
func openSocket() (*nl.NetlinkSocket, error) {
	socket, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(socket.SetSendTimeout(&nl.SocketTimeoutTv), socket.SetReceiveTimeout(&nl.SocketTimeoutTv)); err != nil {
		socket.Close()
		return nil, err
	}
	return socket, nil
}
