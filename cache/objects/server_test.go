package objects

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"airmirror/cache/backend"
	"airmirror/cache/bolt"
	"airmirror/cache/objects/s3"
)

const (
	testBucket = "mirror"
	testKey    = "testaccess"
	testSecret = "testsecret"
)

// testGateway is an S3 server of the tests. It listens on a socket in its folder only.
type testGateway struct {
	folder  string
	process *exec.Cmd
}

var (
	startGateway = sync.OnceValues(newTestGateway)
	started      *testGateway // for TestMain
)

func TestMain(m *testing.M) {
	code := m.Run()
	if started != nil {
		started.stop()
	}
	os.Exit(code)
}

// errNoGateway means that the S3 server was not built.
var errNoGateway = errors.New("the S3 server versitygw is missing: make test-servers")

// gateway starts the server, once for all tests.
func gateway(t testing.TB) *testGateway {
	t.Helper()
	g, err := startGateway()
	if errors.Is(err, errNoGateway) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("start the S3 server: %v", err)
	}
	return g
}

func newTestGateway() (*testGateway, error) {
	program, err := filepath.Abs("../../bin/clients/versitygw")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(program); err != nil {
		return nil, errNoGateway
	}
	folder, err := os.MkdirTemp("", "s3")
	if err != nil {
		return nil, err
	}
	g := &testGateway{folder: folder}
	started = g
	for _, name := range []string{"data", "meta"} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			return nil, err
		}
	}
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	g.process = exec.Command(program, "--port", g.socket(), "--access", testKey, "--secret", testSecret,
		"posix", "--sidecar", filepath.Join(folder, "meta"), filepath.Join(folder, "data"))
	g.process.Dir, g.process.Stdout, g.process.Stderr = folder, log, log
	if err := g.process.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- g.process.Wait() }()
	for {
		if conn, err := net.Dial("unix", g.socket()); err == nil {
			conn.Close()
			return g, g.makeBucket()
		}
		select {
		case err := <-ended:
			out, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("versitygw ended: %w\n%s", err, out)
		default:
		}
	}
}

func (g *testGateway) socket() string { return filepath.Join(g.folder, "socket") }

func (g *testGateway) stop() {
	if g.process != nil && g.process.Process != nil {
		_ = g.process.Process.Signal(syscall.SIGKILL)
	}
	_ = os.RemoveAll(g.folder)
}

// transport connects to the socket, whatever the address is.
func (g *testGateway) transport() *http.Transport {
	return &http.Transport{
		MaxIdleConnsPerHost: 100,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", g.socket())
		},
	}
}

func (g *testGateway) makeBucket() error {
	client, err := minio.New("localhost", &minio.Options{Creds: credentials.NewStaticV4(testKey, testSecret, ""), Transport: g.transport(), Region: "us-east-1"})
	if err != nil {
		return err
	}
	return client.MakeBucket(context.Background(), testBucket, minio.MakeBucketOptions{})
}

// testStore is a part of the bucket, behind a proxy on the loopback interface.
type testStore struct {
	url    string
	prefix string

	mu        sync.Mutex
	requests  []string // method and kind of each request
	intercept func(http.ResponseWriter, *http.Request) (done bool)
}

// store returns an empty part of the bucket.
func store(t testing.TB) *testStore {
	t.Helper()
	g := gateway(t)
	s := &testStore{prefix: uuid.NewString() + "/"}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "s3", r.In.Host },
		Transport:    g.transport(),
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, kind(r))
		intercept := s.intercept
		s.mu.Unlock()
		if intercept == nil || !intercept(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// kind names a request.
func kind(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "begin"
	case r.Method == http.MethodPost && q.Has("uploadId"):
		return "complete"
	case r.Method == http.MethodPost && q.Has("delete"):
		return "delete"
	case r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") != "":
		return "copy"
	case r.Method == http.MethodPut && q.Has("uploadId"):
		return "part"
	case r.Method == http.MethodGet && (q.Has("list-type") || q.Has("uploads") || q.Has("uploadId") || q.Has("location")):
		return "list"
	}
	return map[string]string{"GET": "get", "PUT": "put", "HEAD": "head", "DELETE": "delete"}[r.Method]
}

// take returns the requests since the last call.
func (s *testStore) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := s.requests
	s.requests = nil
	return requests
}

// setIntercept replaces the answers for which f returns true.
func (s *testStore) setIntercept(f func(http.ResponseWriter, *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

func (s *testStore) config() s3.Config {
	return s3.Config{
		Endpoint: s.url, Bucket: testBucket, Prefix: s.prefix, AccessKey: testKey, SecretKey: testSecret, PathStyle: true,
		Timeout: 5 * time.Minute, // no answer is late, however busy the machine is
	}
}

// openIndex opens an empty index.
func openIndex(t testing.TB) backend.Index {
	t.Helper()
	index, err := bolt.Open(filepath.Join(t.TempDir(), "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { index.Close() })
	return index
}

// openNode opens the blobs of a node with an empty folder.
func openNode(t testing.TB, s *testStore, index backend.Index, change ...func(*Options)) *Objects {
	t.Helper()
	options := Options{S3: s.config(), Folder: t.TempDir(), CacheBytes: 1 << 30}
	for _, f := range change {
		f(&options)
	}
	o, err := Open(t.Context(), index, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	s.take()
	return o
}

// setBucket replaces the settings of the bucket, before requests are sent.
func (o *Objects) setBucket(t *testing.T, config s3.Config) {
	t.Helper()
	bucket, err := s3.New(config)
	if err != nil {
		t.Fatal(err)
	}
	o.bucket = bucket
}
