package postgres

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// line forwards connections to the server, until it is cut.
type line struct {
	folder   string
	server   string
	listener net.Listener

	mu    sync.Mutex
	conns []net.Conn
}

const socketName = ".s.PGSQL.5432"

// newLine returns a line in a folder with a short name: the path of a socket must not be long.
func newLine(t *testing.T, s *testServer) *line {
	t.Helper()
	folder, err := os.MkdirTemp("", "line")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	l := &line{folder: folder, server: filepath.Join(s.folder, socketName)}
	l.connect(t)
	t.Cleanup(l.cut)
	return l
}

func (l *line) connect(t *testing.T) {
	t.Helper()
	var err error
	if l.listener, err = net.Listen("unix", filepath.Join(l.folder, socketName)); err != nil {
		t.Fatal(err)
	}
	go func(listener net.Listener) {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", l.server)
			if err != nil {
				near.Close()
				continue
			}
			l.mu.Lock()
			l.conns = append(l.conns, near, far)
			l.mu.Unlock()
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				go func() {
					_, _ = io.Copy(way[0], way[1])
					way[0].Close()
				}()
			}
		}
	}(l.listener)
}

// cut closes all connections, and refuses new ones.
func (l *line) cut() {
	l.listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
}

// TestServerAway uses an index while its server cannot be reached, and afterwards.
func TestServerAway(t *testing.T) {
	s := server(t)
	l := newLine(t, s)
	x := OpenIndex(t, strings.Replace(Database(t), "host="+s.folder, "host="+l.folder, 1))
	defer x.Close()
	calls := map[string]func() error{
		"View": func() error {
			return x.View(t.Context(), func(tx backend.ReadTx) error { tx.Get("t", "a"); return nil })
		},
		"Update": func() error {
			return x.Update(t.Context(), backend.Locks{}, func(tx backend.WriteTx) error { return tx.Put("t", "a", []byte("x")) })
		},
		"ServerTime": func() error { _, err := x.ServerTime(t.Context()); return err },
	}
	for range 2 {
		for name, call := range calls {
			if err := call(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		l.cut()
		for name, call := range calls {
			err := call()
			if mirror.CodeOf(err) != mirror.CodeUnavailable || strings.Contains(err.Error(), l.folder) {
				t.Errorf("%s without a server: %v", name, err)
			}
		}
		l.connect(t)
	}
}

// TestPassword reads the password of a connection from a file.
func TestPassword(t *testing.T) {
	s := server(t)
	file := filepath.Join(t.TempDir(), "password")
	options := Options{URL: s.url("postgres"), PasswordFile: file}
	for _, test := range []struct{ content, want string }{{"", "contains no password"}, {"secret\n", ""}} {
		if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		config, err := options.config()
		if test.want != "" {
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("config: %v, want %q", err, test.want)
			}
			continue
		}
		c := config.ConnConfig.Copy()
		if err := config.BeforeConnect(t.Context(), c); err != nil || c.Password != "secret" {
			t.Errorf("the password is %q, %v", c.Password, err)
		}
	}
}
