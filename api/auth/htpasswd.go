package auth

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"
	"unicode"

	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"

	"airmirror/api/filewatch"
	"airmirror/mirror"
)

const (
	// verifiedTTL is how long a correct password is not checked again.
	verifiedTTL = 5 * time.Minute
	// maxVerified limits how many correct passwords are remembered.
	maxVerified = 4096
	// maxCost is the highest accepted bcrypt cost: anonymous clients cause that much work with each wrong password.
	maxCost = 16
	// maxLoggedName limits the logged part of the name of a failed login, in bytes.
	maxLoggedName = 128
)

// maxHashing limits how many passwords are hashed at a time, so that the other half of the CPUs continues to serve.
var maxHashing = max(1, runtime.GOMAXPROCS(0)/2)

// users is the content of an htpasswd file.
type users struct {
	hashes map[string][]byte
	// locked means that the file has users, but cannot be read.
	locked bool
	// dummyHash is the hash of an unknown password with the highest cost in the file. Comparing with it makes a login
	// with an unknown name take as long as one with a known name.
	dummyHash []byte
}

// lockIfEmpty returns the users to use while the file cannot be parsed: the previous ones. If there were none, the
// result is locked, so that the mirror does not grant the rights of a mirror without users.
func (u *users) lockIfEmpty() *users {
	if len(u.hashes) > 0 {
		return u
	}
	return &users{locked: true}
}

// watchInterval is the minimum interval between two checks whether a file of users or keys has changed. It is short, so
// that a new user can log in at once.
const watchInterval = 100 * time.Millisecond

// watchUsers reads an htpasswd file and watches it. The file need not exist, and path may be empty.
func watchUsers(path string, log *zap.Logger) (*filewatch.Value[*users], error) {
	return filewatch.New(filewatch.Options[*users]{
		Files: []string{path}, Interval: watchInterval, Log: log,
		Load: func() (*users, error) {
			if path == "" {
				return &users{}, nil
			}
			return readFile(path, readUsers)
		},
		Missing:  func() *users { return &users{} },
		Unusable: (*users).lockIfEmpty,
	})
}

// readFile reads and parses a file of users or keys.
func readFile[T any](path string, parse func([]byte) (T, error)) (value T, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return value, fmt.Errorf("cannot read users or keys: %w", err)
	}
	if value, err = parse(text); err != nil {
		return value, fmt.Errorf("%s: %w", path, err)
	}
	return value, nil
}

// readUsers parses an htpasswd file: https://httpd.apache.org/docs/current/programs/htpasswd.html
func readUsers(text []byte) (*users, error) {
	hashes, cost, err := parseUsers(text)
	if err != nil || len(hashes) == 0 {
		return &users{}, err
	}
	u := &users{hashes: hashes}
	u.dummyHash, err = bcrypt.GenerateFromPassword([]byte(rand.Text()), cost)
	return u, err
}

// parseUsers returns the hashes in a file and the highest cost of them.
func parseUsers(text []byte) (hashes map[string][]byte, cost int, err error) {
	hashes = map[string][]byte{}
	lines := bufio.NewScanner(mirror.TextReader(bytes.NewReader(text)))
	for n := 1; lines.Scan(); n++ {
		name, hash, isUser := parseLine(lines.Text())
		if !isUser {
			continue
		}
		used, err := bcrypt.Cost([]byte(hash))
		switch {
		case !ValidUser(name):
			return nil, 0, fmt.Errorf("line %d: %q is not a valid user name", n, name)
		case err != nil:
			return nil, 0, fmt.Errorf("line %d: the hash of user %s is not one of bcrypt: set the password with 'mirror user add' or htpasswd -B", n, name)
		case used > maxCost:
			return nil, 0, fmt.Errorf("line %d: the hash of user %s has the cost %d, which takes too long to check: set the password again", n, name, used)
		case hashes[name] != nil:
			return nil, 0, fmt.Errorf("line %d: user %s is defined twice", n, name)
		}
		cost = max(cost, used)
		hashes[name] = []byte(hash)
	}
	return hashes, cost, lines.Err()
}

// parseLine splits a line of an htpasswd file. isUser is false for comments and empty lines.
func parseLine(line string) (name, hash string, isUser bool) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", "", false
	}
	name, hash, _ = strings.Cut(line, ":")
	return name, hash, true
}

// ValidUser reports whether s is a valid user name.
func ValidUser(s string) bool {
	if s == "" || len(s) > 255 || s[0] == '#' || s == Anonymous || s == Authenticated || s == "*" {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r == ':' || r == unicode.ReplacementChar || !unicode.IsGraphic(r) || unicode.IsSpace(r)
	})
}

// login checks a name and password. The error is [mirror.CodeUnauthorized] if they are wrong, and
// [mirror.CodeTooManyRequests] after too many failures from the same address.
func (p *policy) login(r *http.Request, name, password string) error {
	users := p.users.Get()
	if len(users.hashes) == 0 {
		return loginError(name)
	}
	mac := hmac.New(sha256.New, p.secret)
	mac.Write(users.hashes[name]) // neither the hash nor the name contains a colon
	mac.Write([]byte(":" + name + ":" + password))
	key := [sha256.Size]byte(mac.Sum(nil))
	if p.recentlyVerified(key) {
		return nil
	}
	if p.everVerified(key) {
		return p.recheck(r.Context(), users, key, name, password)
	}
	done, err := p.limiter.acquire(r.Context(), mirror.NetworkOf(r.RemoteAddr))
	if err != nil {
		return err
	}
	right := p.recentlyVerified(key) // clients send several requests at once
	if !right {
		if right, err = p.compare(r.Context(), p.hashSlots, users, name, password); err != nil {
			done(true)
			return err
		}
	}
	done(right)
	if !right {
		p.log.Warn("login failed", zap.String("user", name[:min(len(name), maxLoggedName)]), zap.String("address", mirror.HostOf(r.RemoteAddr)))
		return loginError(name)
	}
	p.verified.Add(key, time.Now().Add(verifiedTTL))
	return nil
}

func (k *shared) recentlyVerified(key [sha256.Size]byte) bool {
	until, ok := k.verified.Get(key)
	return ok && time.Now().Before(until)
}

// everVerified reports whether the password was correct at any time and the hash of its user has not changed since.
func (k *shared) everVerified(key [sha256.Size]byte) bool { return k.verified.Contains(key) }

// recheck checks a password that was correct before. It does not wait for logins with other passwords: it uses neither
// the limiter nor their slots.
func (p *policy) recheck(ctx context.Context, users *users, key [sha256.Size]byte, name, password string) error {
	right, err := p.compare(ctx, p.knownHashSlots, users, name, password)
	switch {
	case err != nil:
		return err
	case !right:
		return loginError(name)
	}
	p.verified.Add(key, time.Now().Add(verifiedTTL))
	return nil
}

// compare checks a password with bcrypt when a slot is free. It does the same work if there is no such user.
func (p *policy) compare(ctx context.Context, slots chan struct{}, users *users, name, password string) (right bool, err error) {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return false, mirror.Errorf(mirror.CodeUnavailable, "the request was cancelled")
	}
	return users.matches(name, password, bcrypt.CompareHashAndPassword), nil
}

// matches reports whether a password is that of a user. Wrong passwords take the same time for every name: where the
// hash has a lower cost than the highest one, hashes of 2^cost + 2^(cost+1) + … rounds make up the difference.
func (u *users) matches(name, password string, compare func(hash, password []byte) error) bool {
	hash, known := u.hashes[name]
	if !known {
		hash = u.dummyHash
	}
	if compare(hash, []byte(password)) == nil {
		return known
	}
	cost, err := bcrypt.Cost(hash)
	most, errMost := bcrypt.Cost(u.dummyHash)
	if err != nil || errMost != nil { // both were parsed before
		return false
	}
	for ; cost < most; cost++ {
		_ = compare(fmt.Appendf(nil, "$2a$%02d%s", cost, u.dummyHash[len("$2a$00"):]), []byte(password))
	}
	return false
}
