//go:build bench

package bench_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// References run in processes of their own, as what they are compared with does: this program again, in one of these
// roles. What a role needs to know is JSON in the environment.
const (
	roleVariable = "MIRROR_BENCH_ROLE"
	addrVariable = "MIRROR_BENCH_ADDR"
	specVariable = "MIRROR_BENCH_SPEC"
)

var roles = map[string]func() http.Handler{
	"bytes":    role(serveBytes),
	"file":     role(serveFile),
	"disk":     role(serveDisk),
	"copy":     role(serveCopy),
	"upstream": role(serveUpstream),
}

func role[T any](handler func(T) http.Handler) func() http.Handler {
	return func() http.Handler {
		var spec T
		if err := json.Unmarshal([]byte(os.Getenv(specVariable)), &spec); err != nil {
			panic(err)
		}
		return handler(spec)
	}
}

// help is the main function of such a process; it is ended by a signal.
func help(role string) {
	err := http.ListenAndServe(os.Getenv(addrVariable), roles[role]())
	os.Exit(fail(err))
}

// startHelper starts this program in a role.
func startHelper(b *testing.B, role string, spec any) *server {
	b.Helper()
	s := newServer(b)
	data, err := json.Marshal(spec)
	check(b, err)
	program, err := os.Executable()
	check(b, err)
	s.start(b, []string{roleVariable + "=" + role, addrVariable + "=" + s.addr, specVariable + "=" + string(data)}, program)
	return s
}

// bytesSpec is an answer in memory.
type bytesSpec struct {
	Header http.Header
	Body   []byte
}

func serveBytes(spec bytesSpec) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		for name, values := range spec.Header {
			h[name] = values
		}
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write(spec.Body)
	})
}

// fileSpec is an answer from a file.
type fileSpec struct {
	Header http.Header
	Path   string
}

func serveFile(spec fileSpec) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, err := os.Open(spec.Path)
		if err != nil {
			panic(err)
		}
		defer file.Close()
		h := w.Header()
		for name, values := range spec.Header {
			h[name] = values
		}
		http.ServeContent(w, r, "", time.Time{}, file)
	})
}

// diskSpec is where to write to.
type diskSpec struct{ Dir string }

// serveDisk receives no bytes: it makes those of the requested stream, hashes them, writes them to a new
// file, one piece after the other, and syncs that. It answers how many nanoseconds this took.
func serveDisk(spec diskSpec) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seed, _ := strconv.ParseUint(r.FormValue("seed"), 10, 64)
		size, _ := strconv.ParseInt(r.FormValue("size"), 10, 64)
		began := time.Now()
		digest, err := store(filepath.Join(spec.Dir, "blob"), stream{seed, size})
		took := time.Since(began)
		if err != nil || digest != r.FormValue("digest") {
			http.Error(w, fmt.Sprintf("%s: %v", digest, err), http.StatusInternalServerError)
			return
		}
		_ = os.Remove(filepath.Join(spec.Dir, "blob"))
		fmt.Fprint(w, took.Nanoseconds())
	})
}

func store(path string, s stream) (digest string, err error) {
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	err = s.each(func(piece []byte) error {
		h.Write(piece)
		_, err := file.Write(piece)
		return err
	})
	if err != nil {
		return "", err
	}
	return digestOf(h), file.Sync()
}

// copySpec is what to copy, and where to.
type copySpec struct{ From, To string }

// serveCopy reads a file once, hashes it, writes it to a new file and syncs that. Without a place to copy to it only
// hashes. It answers how many nanoseconds this took.
func serveCopy(spec copySpec) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		began := time.Now()
		err := copyOnce(spec)
		took := time.Since(began)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = os.Remove(spec.To)
		fmt.Fprint(w, took.Nanoseconds())
	})
}

func copyOnce(spec copySpec) error {
	from, err := os.Open(spec.From)
	if err != nil {
		return err
	}
	defer from.Close()
	if spec.To == "" {
		_, err := io.CopyBuffer(sha256.New(), struct{ io.Reader }{from}, make([]byte, mib))
		return err
	}
	to, err := os.Create(spec.To)
	if err != nil {
		return err
	}
	defer to.Close()
	h := sha256.New()
	buf := make([]byte, mib)
	for {
		n, err := from.Read(buf)
		h.Write(buf[:n])
		if _, err := to.Write(buf[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return to.Sync()
		}
		if err != nil {
			return err
		}
	}
}
