package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

// SocketName is the name of the socket in a data folder.
const SocketName = "mirror.sock"

// ErrNoServer says that no server answers in a data folder.
var ErrNoServer = errors.New("no server answers on " + SocketName)

// Listen makes the socket of a data folder, which only the user of this process may connect to. The caller owns the
// folder, so a socket that is there already is a dead process's, and is replaced. Closing the listener removes it.
func Listen(data string) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) {
		return nil, fmt.Errorf("listen on %s: %w", filepath.Join(data, SocketName), err)
	}
	// A socket is made with the rights that the umask leaves. So it is made where nobody else can look, is given its
	// rights there, and then its name.
	private := filepath.Join(data, ".new."+SocketName)
	if err := os.RemoveAll(private); err != nil {
		return fail(err)
	}
	if err := os.Mkdir(private, 0o700); err != nil {
		return fail(err)
	}
	defer os.RemoveAll(private)
	address, release, err := socketAddress(private)
	if err != nil {
		return fail(err)
	}
	defer release()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: address})
	if err != nil {
		return fail(err)
	}
	listener.SetUnlinkOnClose(false) // it would look for the first name
	made, named := filepath.Join(private, SocketName), filepath.Join(data, SocketName)
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, named)); err != nil {
		listener.Close()
		return fail(err)
	}
	return &socket{Listener: listener, path: named}, nil
}

// socket is a listener that removes its socket.
type socket struct {
	net.Listener
	path string
	once sync.Once
}

// Close stops listening; whoever comes now finds no server.
func (s *socket) Close() error {
	err := s.Listener.Close()
	s.once.Do(func() {
		if removed := os.Remove(s.path); !errors.Is(removed, os.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	})
	return err
}

// Dial returns a transport to the server that runs on a data folder, or [ErrNoServer] if there is none.
func Dial(ctx context.Context, data string) (*http.Transport, error) {
	conn, err := dialSocket(ctx, data)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return nil, ErrNoServer
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("the mirror that runs on %s does not let this user in: run the command as the user that the mirror runs as, or as root: %w", data, err)
	case err != nil:
		return nil, fmt.Errorf("connect to the mirror that runs on %s: %w", data, err)
	}
	first := make(chan net.Conn, 1)
	first <- conn
	// A chunk of a stream is written at once, with its header.
	return &http.Transport{WriteBufferSize: bufferSize + 64, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case conn := <-first:
			return drainingConn{conn}, nil
		default:
			conn, err := dialSocket(ctx, data)
			if err != nil {
				return nil, err
			}
			return drainingConn{conn}, nil
		}
	}}, nil
}

// answered is a connection to a server that may have answered, and closed it, before it read the whole request. net/http
// would take the failure to write the rest for a failure of the request, even while its answer is being read. So that
// rest goes nowhere; without an answer, reading fails all the same.
type drainingConn struct{ net.Conn }

func (a drainingConn) Write(p []byte) (int, error) {
	n, err := a.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		return len(p), nil
	}
	return n, err
}

func dialSocket(ctx context.Context, data string) (net.Conn, error) {
	address, release, err := socketAddress(data)
	if err != nil {
		return nil, err
	}
	defer release()
	return new(net.Dialer).DialContext(ctx, "unix", address)
}

// maxAddress is how many bytes the address of a socket may have on every system: 104 on BSD and macOS with the zero at
// the end, 108 on Linux.
const maxAddress = 103

// shorten returns an address for the socket in a folder, to be used until release. A folder whose path is too long is
// held open, and found by way of /proc, where there is that.
func socketAddress(folder string) (address string, release func(), err error) {
	address = filepath.Join(folder, SocketName)
	if len(address) <= maxAddress {
		return address, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("its path is longer than the %d bytes that this system has for the path of a socket: choose a folder with a shorter one", maxAddress)
	}
	open, err := os.Open(folder)
	if err != nil {
		return "", nil, err
	}
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(open.Fd())), SocketName), func() { open.Close() }, nil
}
