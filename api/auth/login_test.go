package auth_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/crypto/bcrypt"

	"airmirror/api/auth"
	"airmirror/api/registry"
	"airmirror/mirror"
)

// ask checks whether a client may push.
func ask(guard *auth.Guard, who as) (http.Header, error) {
	header, r := http.Header{}, httptest.NewRequest("POST", "/v2/team/app/blobs/uploads/", nil)
	who(r)
	_, err := guard.Authorize(header, r, registry.Operation{Action: registry.Push, Repo: mirror.Repo{Host: "docker.io", Path: "team/app"}})
	return header, err
}

func wantCode(t *testing.T, guard *auth.Guard, who as, want mirror.Code) http.Header {
	t.Helper()
	header, err := ask(guard, who)
	if got := mirror.CodeOf(err); got != want {
		t.Errorf("%v, want %q", err, want)
	}
	return header
}

func at(address string, who as) as {
	return func(r *http.Request) { who(r); r.RemoteAddr = address }
}

// TestFailedLoginsAreLimited: an address has to wait after ten failures, and no other address.
func TestFailedLoginsAreLimited(t *testing.T) {
	path := htpasswd(t, "alice", "bob")
	synctest.Test(t, func(t *testing.T) {
		guard, err := auth.New(auth.Options{Htpasswd: path})
		must(t, err)
		const here, near, far = "192.0.2.7:1000", "192.0.2.7:2000", "192.0.2.8:1000"
		wantCode(t, guard, at(here, known("bob")), "") // it is remembered
		var tries sync.WaitGroup
		var mu sync.Mutex
		codes := map[mirror.Code]int{}
		for i := range 40 {
			tries.Go(func() { // at once, and with several names
				_, err := ask(guard, at(here, user([]string{"alice", "nobody"}[i%2], strconv.Itoa(i))))
				mu.Lock()
				defer mu.Unlock()
				codes[mirror.CodeOf(err)]++
			})
		}
		tries.Wait()
		if codes[mirror.CodeUnauthorized] != 10 || codes[mirror.CodeTooManyRequests] != 30 {
			t.Errorf("answers to 40 guesses: %v", codes)
		}
		header := wantCode(t, guard, at(near, known("alice")), mirror.CodeTooManyRequests)
		if after := header.Get("Retry-After"); after != "6" {
			t.Errorf("Retry-After: %q", after)
		}
		wantCode(t, guard, at(far, known("alice")), "")
		wantCode(t, guard, at(near, known("bob")), "")   // it was correct before and is not checked
		wantCode(t, guard, at(near, known("alice")), "") // likewise
		time.Sleep(6 * time.Second)
		wantCode(t, guard, at(here, user("alice", "guess")), mirror.CodeUnauthorized)
		wantCode(t, guard, at(here, user("alice", "guess")), mirror.CodeTooManyRequests)

		// An IPv6 client has many addresses.
		for i := range 10 {
			wantCode(t, guard, at(fmt.Sprintf("[2001:db8::%x]:1", i), user("alice", "guess")), mirror.CodeUnauthorized)
		}
		wantCode(t, guard, at("[2001:db8::ffff]:1", user("alice", "guess")), mirror.CodeTooManyRequests)
		wantCode(t, guard, at("[2001:db8:1::1]:1", user("alice", "guess")), mirror.CodeUnauthorized)
	})
}

// TestPasswordChangeAffectsNoOtherUser: users stay logged in when another user is added and after a reload, even if
// their address is blocked. A change of their own password takes effect.
func TestPasswordChangeAffectsNoOtherUser(t *testing.T) {
	path := htpasswd(t, "alice")
	alices, err := os.ReadFile(path)
	must(t, err)
	synctest.Test(t, func(t *testing.T) {
		opts := auth.Options{Htpasswd: path}
		guard, err := auth.New(opts)
		must(t, err)
		wantCode(t, guard, known("alice"), "")
		for range 10 {
			wantCode(t, guard, user("mallory", "guess"), mirror.CodeUnauthorized)
		}
		later := func() { time.Sleep(time.Second) }
		writeUsers(t, path, "bob")
		bobs, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, append(bobs, alices...), 0o600))
		later()
		wantCode(t, guard, known("bob"), mirror.CodeTooManyRequests)
		wantCode(t, guard, known("alice"), "")
		must(t, guard.Apply(opts))
		wantCode(t, guard, known("alice"), "")

		must(t, os.WriteFile(path, bobs, 0o600))
		later()
		wantCode(t, guard, known("alice"), mirror.CodeTooManyRequests)
		writeUsers(t, path, "alice", "bob") // the same password with another hash
		later()
		wantCode(t, guard, known("alice"), mirror.CodeTooManyRequests)
	})
}

// TestPreparedOptionsApplyWithoutTheirFiles: prepared options take effect when they are applied, even if their files
// have changed or are gone.
func TestPreparedOptionsApplyWithoutTheirFiles(t *testing.T) {
	path, others := htpasswd(t, "alice"), htpasswd(t, "bob")
	guard, err := auth.New(auth.Options{Htpasswd: path})
	must(t, err)
	apply, err := guard.Prepare(auth.Options{Htpasswd: others})
	must(t, err)
	must(t, os.WriteFile(others, []byte("half a li"), 0o600))
	wantCode(t, guard, known("bob"), mirror.CodeUnauthorized)
	wantCode(t, guard, known("alice"), "")
	apply()
	wantCode(t, guard, known("bob"), "")
	wantCode(t, guard, known("alice"), mirror.CodeUnauthorized)
	if _, err := guard.Prepare(auth.Options{Htpasswd: others}); err == nil {
		t.Error("a file of users that cannot be read is prepared for")
	}
	wantCode(t, guard, known("bob"), "")
}

// TestUsersFileIsWatched: a change takes effect within a second, and an unusable file changes nothing.
func TestUsersFileIsWatched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "htpasswd")
	synctest.Test(t, func(t *testing.T) {
		guard, err := auth.New(auth.Options{Htpasswd: path})
		must(t, err)
		later := func() { time.Sleep(time.Second) }
		wantCode(t, guard, fromLoopback, "")
		wantCode(t, guard, nobody, mirror.CodeDenied)

		writeUsers(t, path, "alice")
		later()
		wantCode(t, guard, fromLoopback, mirror.CodeUnauthorized)
		wantCode(t, guard, known("alice"), "")

		writeUsers(t, path, "bob", "carol")
		later()
		wantCode(t, guard, known("alice"), mirror.CodeUnauthorized) // even though it was remembered
		wantCode(t, guard, known("bob"), "")

		for _, broken := range []string{"bob:$apr1$x$y\n", "bob:{SHA}x\n", "bob\n", ":x\n", "a b:$2y$05$x\n"} {
			must(t, os.WriteFile(path, []byte(broken), 0o600))
			later()
			wantCode(t, guard, known("bob"), "")
			wantCode(t, guard, nobody, mirror.CodeUnauthorized)
		}
		must(t, os.Remove(path))
		later()
		wantCode(t, guard, known("bob"), "")
		wantCode(t, guard, fromLoopback, mirror.CodeUnauthorized)

		must(t, os.WriteFile(path, nil, 0o600)) // the last user was removed
		later()
		wantCode(t, guard, fromLoopback, "")
	})
}

// TestUnusableUsersFileDoesNotOpenTheMirror: a malformed file is not the same as no users.
func TestUnusableUsersFileDoesNotOpenTheMirror(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("bob"), bcrypt.MinCost)
	must(t, err)
	line := "bob:" + string(hash) + "\r\n"
	path := filepath.Join(t.TempDir(), "htpasswd")
	put := func(text string) {
		must(t, os.RemoveAll(path))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
	synctest.Test(t, func(t *testing.T) {
		core, logged := observer.New(zap.WarnLevel)
		opts := auth.Options{Htpasswd: path, Log: zap.New(core)}
		guard, err := auth.New(opts)
		must(t, err)
		bob := user("bob", "bob")
		later := func() { time.Sleep(time.Second) }
		wantLogged := func(n int, what string) {
			t.Helper()
			if all := logged.TakeAll(); len(all) != n || n > 0 && !strings.Contains(fmt.Sprint(all[0].Message, all[0].ContextMap()), what) {
				t.Errorf("logged %v, want %d that say %q", all, n, what)
			}
		}
		wantCode(t, guard, fromLoopback, "")
		for _, broken := range []string{"bob:$apr1$x$y\n", "bob:{SHA}x\n", "bob:plain\n"} { // malformed from the start
			put(broken)
			later()
			wantCode(t, guard, fromLoopback, mirror.CodeUnauthorized)
			wantCode(t, guard, user("bob", "plain"), mirror.CodeUnauthorized)
			later()
			wantLogged(1, "line 1: the hash of user bob is not one of bcrypt")
		}
		must(t, os.Remove(path))
		later()
		wantCode(t, guard, fromLoopback, mirror.CodeUnauthorized)
		wantLogged(1, "no such file")
		put("")
		later()
		wantCode(t, guard, fromLoopback, "")
		put("bob:plain\n")
		if err := guard.Apply(opts); err == nil { // the error does not change that
			t.Error("a file of users that cannot be read is taken up")
		}
		later()
		wantCode(t, guard, fromLoopback, mirror.CodeUnauthorized)
		wantLogged(1, "bcrypt")

		put(line)
		later()
		wantCode(t, guard, bob, "")
		must(t, os.Remove(path))
		must(t, os.Mkdir(path, 0o700)) // an unreadable file
		for range 3 {
			later()
			wantCode(t, guard, bob, "")
			wantCode(t, guard, fromLoopback, mirror.CodeUnauthorized)
		}
		wantLogged(1, "is a directory")
		must(t, guard.Apply(auth.Options{Htpasswd: path + "2", Log: opts.Log}))
		wantCode(t, guard, fromLoopback, "") // another file, which does not exist

		put(line)
		must(t, guard.Apply(opts))
		must(t, os.Remove(path))
		for range 2 {
			must(t, guard.Apply(opts))
			later()
			wantCode(t, guard, bob, "")
			wantCode(t, guard, fromLoopback, mirror.CodeUnauthorized)
		}
		put("bob\n")
		if err := guard.Apply(opts); err == nil {
			t.Error("a malformed file is taken")
		}
		wantCode(t, guard, bob, "")
	})
}

// TestTwoAuthorizationHeadersAreRefused: whatever their values and order.
func TestTwoAuthorizationHeadersAreRefused(t *testing.T) {
	guard, err := auth.New(auth.Options{Htpasswd: htpasswd(t, "alice"), Certificates: true})
	must(t, err)
	chain := []*x509.Certificate{{Subject: pkix.Name{CommonName: "alice"}}}
	certified := func(r *http.Request) {
		r.TLS = &tls.ConnectionState{PeerCertificates: chain, VerifiedChains: [][]*x509.Certificate{chain}}
	}
	with := func(headers ...string) as {
		return func(r *http.Request) { certified(r); r.Header["Authorization"] = headers }
	}
	r := httptest.NewRequest("GET", "/", nil)
	known("alice")(r)
	good := r.Header.Get("Authorization")
	for _, who := range []as{with(good, "Bearer x"), with("Bearer x", good), with(good, good), with("", good)} {
		wantCode(t, guard, who, mirror.CodeUnauthorized)
	}
	for _, who := range []as{with(), with(""), with(good)} {
		wantCode(t, guard, who, "")
	}
	// Credentials in the request take precedence over the client certificate.
	wantCode(t, guard, with("Bearer x"), mirror.CodeUnauthorized)
	wantCode(t, guard, func(r *http.Request) { certified(r); user("alice", "guess")(r) }, mirror.CodeUnauthorized)
}

func TestInvalidUsersFile(t *testing.T) {
	dear, err := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost)
	must(t, err)
	hash := string(dear)
	for text, want := range map[string]string{
		"# users\nbob:$apr1$abc$def\n":                           "line 2: the hash of user bob is not one of bcrypt",
		"bob:" + hash + "\nbob:" + hash + "\n":                   "line 2: user bob is defined twice",
		"anonymous:" + hash + "\n":                               `line 1: "anonymous" is not a valid user name`,
		"*:" + hash + "\n":                                       "not a valid user name",
		"bob:" + strings.Replace(hash, "$04$", "$31$", 1) + "\n": "takes too long",
	} {
		path := filepath.Join(t.TempDir(), "htpasswd")
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if _, err := auth.New(auth.Options{Htpasswd: path}); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestHashesOfOtherTools: htpasswd -B writes $2y$.
func TestHashesOfOtherTools(t *testing.T) {
	path := filepath.Join(t.TempDir(), "htpasswd")
	must(t, os.WriteFile(path, []byte("robot:$2y$04$Ppo4kO0Equ1pj90kJFUapesXxnkdVAsN5K55gGlHFX66LjHhy7RRa\r\n"), 0o600))
	guard, err := auth.New(auth.Options{Htpasswd: path})
	must(t, err)
	wantCode(t, guard, user("robot", "let me in"), "")
	wantCode(t, guard, user("robot", "let me i"), mirror.CodeUnauthorized)
	wantCode(t, guard, user("robot", ""), mirror.CodeUnauthorized)
}

// TestUnknownUserTakesAsLongAsWrongPassword: names cannot be found by timing. Without a comparison the time would be a
// thousandth.
func TestUnknownUserTakesAsLongAsWrongPassword(t *testing.T) {
	path := filepath.Join(t.TempDir(), "htpasswd")
	hash, err := bcrypt.GenerateFromPassword([]byte("x"), bcrypt.MinCost+3)
	must(t, err)
	must(t, os.WriteFile(path, []byte("alice:"+string(hash)+"\n"), 0o600))
	guard, err := auth.New(auth.Options{Htpasswd: path})
	must(t, err)
	took := func(name string) time.Duration {
		least := time.Hour
		for range 3 {
			began := time.Now()
			wantCode(t, guard, user(name, "guess"), mirror.CodeUnauthorized)
			least = min(least, time.Since(began))
		}
		return least
	}
	if wrong, unknown := took("alice"), took("nobody"); unknown < wrong/10 {
		t.Errorf("a wrong password takes %v, a name that is unknown %v", wrong, unknown)
	}
}

// TestKnownLoginIsNotBlockedByOthers: many clients may share an address with one that guesses passwords. Users who have
// not logged in before are blocked, because they cannot be told from that one.
func TestKnownLoginIsNotBlockedByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := htpasswd(t, "alice", "bob")
		guard, err := auth.New(auth.Options{Htpasswd: path})
		must(t, err)
		if _, err := ask(guard, at("192.0.2.1:1", known("alice"))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // so that the password is checked again
		for i := range 20 {
			_, _ = ask(guard, at("192.0.2.1:2", user("alice", fmt.Sprint(i))))
		}
		wantCode(t, guard, at("192.0.2.1:3", known("bob")), mirror.CodeTooManyRequests)
		wantCode(t, guard, at("192.0.2.1:3", user("alice", "another")), mirror.CodeTooManyRequests)
		if _, err := ask(guard, at("192.0.2.1:4", known("alice"))); err != nil {
			t.Errorf("alice, whose password was right before: %v", err)
		}
		if _, err := ask(guard, at("192.0.2.2:1", known("bob"))); err != nil {
			t.Errorf("bob at another address: %v", err)
		}
	})
}
