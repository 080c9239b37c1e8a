package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"airmirror/cache/backend"
)

// testServer is a PostgreSQL server of the tests. It listens on a socket in its folder only.
type testServer struct {
	folder  string
	process *exec.Cmd

	mu        sync.Mutex
	databases int
	free      []*testDatabase
}

// testDatabase is a database that tests use one after the other: to make one takes much longer than to empty it.
type testDatabase struct {
	url   string
	conn  *pgx.Conn
	empty string // statements that delete all rows
}

var (
	startServer = sync.OnceValues(newTestServer)
	started     *testServer // for TestMain
)

func TestMain(m *testing.M) {
	code := m.Run()
	if started != nil {
		started.stop()
	}
	os.Exit(code)
}

// errNoServer means that PostgreSQL is not installed.
var errNoServer = errors.New("PostgreSQL is not installed (Debian package postgresql)")

// server starts the server, once for all tests.
func server(t *testing.T) *testServer {
	t.Helper()
	s, err := startServer()
	if errors.Is(err, errNoServer) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	return s
}

func newTestServer() (*testServer, error) {
	programs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(programs) == 0 {
		return nil, errNoServer
	}
	slices.Sort(programs)
	bin := programs[len(programs)-1]
	folder, err := os.MkdirTemp("", "postgres")
	if err != nil {
		return nil, err
	}
	s := &testServer{folder: folder}
	started = s
	data := filepath.Join(folder, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	if err := s.unprivileged(initdb); err != nil {
		return nil, err
	}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.process = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200")
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.unprivileged(s.process); err != nil {
		return nil, err
	}
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.process.Wait() }()
	for {
		if err := s.exec("postgres", "select 1"); err == nil {
			break
		}
		select {
		case err := <-ended:
			out, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("postgres ended: %w\n%s", err, out)
		default:
		}
	}
	return s, s.prepareTemplate()
}

// unprivileged makes a command run as the user postgres, since PostgreSQL refuses root.
func (s *testServer) unprivileged(cmd *exec.Cmd) error {
	cmd.Dir = s.folder
	if os.Getuid() != 0 {
		return nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return os.Chown(s.folder, uid, gid)
}

func (s *testServer) stop() {
	if s.process != nil && s.process.Process != nil {
		_ = s.process.Process.Signal(syscall.SIGQUIT)
		for s.exec("postgres", "select 1") == nil {
		}
	}
	_ = os.RemoveAll(s.folder)
}

func (s *testServer) url(database string) string {
	return fmt.Sprintf("host=%s user=postgres dbname=%s", s.folder, database)
}

func (s *testServer) exec(database, sql string) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.url(database))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// prepareTemplate makes a database with the tables of the mirror, and those of the suite of an index.
func (s *testServer) prepareTemplate() error {
	if err := s.exec("postgres", "create database template"); err != nil {
		return err
	}
	x, err := Open(context.Background(), Options{URL: s.url("template")})
	if err != nil {
		return err
	}
	if err := x.Close(); err != nil {
		return err
	}
	for _, table := range []string{"one", "two", "t", "u", "visible", "insert"} {
		if err := s.exec("template", fmt.Sprintf("create table mirror_%s (key bytea primary key, value bytea not null)", table)); err != nil {
			return err
		}
	}
	return nil
}

// database returns the address of an empty database, which belongs to the test until it ends.
func (s *testServer) database(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var d *testDatabase
	if n := len(s.free); n > 0 {
		d, s.free = s.free[n-1], s.free[:n-1]
	} else {
		s.databases++
		var err error
		if d, err = s.newDatabase(fmt.Sprint("test", s.databases)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if _, err := d.conn.PgConn().Exec(context.Background(), d.empty).ReadAll(); err != nil {
			t.Errorf("empty the database: %v", err)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.free = append(s.free, d)
	})
	return d.url
}

func (s *testServer) newDatabase(name string) (*testDatabase, error) {
	if err := s.exec("postgres", "create database "+name+" template template"); err != nil {
		return nil, err
	}
	ctx := context.Background()
	d := &testDatabase{url: s.url(name)}
	var err error
	if d.conn, err = pgx.Connect(ctx, d.url); err != nil {
		return nil, err
	}
	const statements = `select string_agg(format('delete from %I', tablename), ';') from pg_tables
where schemaname = 'public' and tablename <> 'mirror_migrations'`
	return d, d.conn.QueryRow(ctx, statements).Scan(&d.empty)
}

// folderDatabases are the databases of the folders in which a suite opens an index.
type folderDatabases map[string]string

func (f folderDatabases) open(t *testing.T, folder string) backend.Index {
	t.Helper()
	if f[folder] == "" {
		f[folder] = server(t).database(t)
	}
	return OpenIndex(t, f[folder])
}

// Database returns the address of an empty database, which belongs to the test until it ends.
func Database(t *testing.T) string {
	t.Helper()
	return server(t).database(t)
}

// OpenIndex opens the index in a database.
func OpenIndex(t *testing.T, url string) *Index {
	t.Helper()
	x, err := Open(t.Context(), Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// OpenCounted opens an index that counts the round trips of its connections.
func OpenCounted(t *testing.T, url string, trips *atomic.Int64) *Index {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	dial := config.ConnConfig.DialFunc
	config.ConnConfig.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &countedConn{Conn: conn, trips: trips}, err
	}
	x, err := open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// countedConn counts the messages after which a client waits for the server: Sync and Query.
type countedConn struct {
	net.Conn
	trips   *atomic.Int64
	started bool   // the first message, which has no type, was sent
	header  []byte // of a message whose header is not complete
	rest    int    // bytes of the current message that follow
}

func (c *countedConn) Write(p []byte) (int, error) {
	for b := p; len(b) > 0; {
		if c.rest > 0 {
			n := min(c.rest, len(b))
			c.rest, b = c.rest-n, b[n:]
			continue
		}
		c.header, b = append(c.header, b[0]), b[1:]
		size := 5
		if !c.started {
			size = 4
		}
		if len(c.header) < size {
			continue
		}
		length := c.header[size-4:]
		c.rest = int(length[0])<<24 + int(length[1])<<16 + int(length[2])<<8 + int(length[3]) - 4
		if c.started && (c.header[0] == 'S' || c.header[0] == 'Q') {
			c.trips.Add(1)
		}
		c.started, c.header = true, nil
	}
	return c.Conn.Write(p)
}

// MachineClock implements [backend.Clock] with the clock of the machine, which tests compare times with.
type MachineClock struct{}

// Now implements [backend.Clock].
func (MachineClock) Now() time.Time { return time.Now() }

// Uptime implements [backend.Clock].
func (MachineClock) Uptime() (bootID string, uptime time.Duration) {
	return backend.BootID(), backend.Uptime()
}
