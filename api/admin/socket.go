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

// ErrNoServer means that no server listens in a data folder.
var ErrNoServer = errors.New("no server answers on " + SocketName)

// Listen creates the socket of a data folder and listens on it. Only the user of this process can connect to it. The caller
// owns the folder, so a socket that exists belongs to a process that has died and is replaced. Closing the listener removes
// the socket.
func Listen(data string) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) {
		return nil, fmt.Errorf("listen on %s: %w", filepath.Join(data, SocketName), err)
	}
	// The umask decides the permissions of a new socket. So the socket is created in a folder that nobody else can enter, and
	// is renamed after its permissions are set.
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
	listener.SetUnlinkOnClose(false) // it would remove the first name
	made, named := filepath.Join(private, SocketName), filepath.Join(data, SocketName)
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, named)); err != nil {
		listener.Close()
		return fail(err)
	}
	return &socket{Listener: listener, path: named}, nil
}

// socket is a listener that removes its socket when it is closed.
type socket struct {
	net.Listener
	path string
	once sync.Once
}

// Close implements [net.Listener].
func (s *socket) Close() error {
	err := s.Listener.Close()
	s.once.Do(func() {
		if removed := os.Remove(s.path); !errors.Is(removed, os.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	})
	return err
}

// Dial returns a transport to the server that runs on a data folder, or [ErrNoServer] if none does.
func Dial(ctx context.Context, data string) (*http.Transport, error) {
	conn, err := dialSocket(ctx, data)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return nil, ErrNoServer
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("connect to the mirror that runs on %s: run the command as the user of the mirror, or as root: %w", data, err)
	case err != nil:
		return nil, fmt.Errorf("connect to the mirror that runs on %s: %w", data, err)
	}
	first := make(chan net.Conn, 1)
	first <- conn
	// The buffer holds a chunk of a stream with its header, so that it is written with one system call.
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

// drainingConn is a connection to a server that may answer and close the connection before it has read the whole request.
// net/http would report the failed write of the rest as an error of the request, even while it reads the answer. So the
// rest is discarded. If there is no answer, reading still fails.
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

// maxAddress is the maximum length of the path of a socket on every system: 104 bytes on BSD and macOS, with a zero at the
// end, and 108 on Linux.
const maxAddress = 103

// socketAddress returns an address of the socket in a folder that is valid until release is called. For a folder whose path
// is too long it opens the folder and returns a path below /proc, on Linux.
func socketAddress(folder string) (address string, release func(), err error) {
	address = filepath.Join(folder, SocketName)
	if len(address) <= maxAddress {
		return address, func() {}, nil
	}
	if runtime.GOOS != "linux" {
		return "", nil, fmt.Errorf("the path of the socket has more than the %d bytes that this system allows: choose a folder with a shorter path", maxAddress)
	}
	open, err := os.Open(folder)
	if err != nil {
		return "", nil, err
	}
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(open.Fd())), SocketName), func() { open.Close() }, nil
}
