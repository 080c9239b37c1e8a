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
	"runtime"
	"strings"
	"time"
	"unicode"

	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"

	"airmirror/mirror"
)

const (
	// verifiedTTL is how long a password is not checked again after it was found to be right.
	verifiedTTL = 5 * time.Minute
	// maxVerified is how many passwords are remembered so.
	maxVerified = 4096
	// maxCost is the highest cost of a hash that is accepted: anybody can have it paid, with each wrong password.
	maxCost = 16
	// maxLoggedName is how much of the name of a login that failed is logged, in bytes: anybody can send a long one.
	maxLoggedName = 128
)

// maxHashing is how many passwords are checked at a time: all that is left of the machine goes on to serve.
var maxHashing = max(1, runtime.GOMAXPROCS(0)/2)

// users are those of an htpasswd file, as it was at one time.
type users struct {
	hashes map[string][]byte
	// locked says that there may be users, and that nobody knows who they are.
	locked bool
	// nobody is a hash of no password, which costs as much as the others: who is unknown cannot be told by the time it takes.
	dummyHash []byte
}

// lockIfEmpty is who counts as a user while the file has some, which cannot be read: those of before, or nobody, who is not
// to be taken for a mirror without users.
func (u *users) lockIfEmpty() *users {
	if len(u.hashes) > 0 {
		return u
	}
	return &users{locked: true}
}

// readUsers reads an htpasswd file: https://httpd.apache.org/docs/current/programs/htpasswd.html
func readUsers(text []byte) (*users, error) {
	hashes, cost, err := parseUsers(text)
	if err != nil || len(hashes) == 0 {
		return &users{}, err
	}
	u := &users{hashes: hashes}
	u.dummyHash, err = bcrypt.GenerateFromPassword([]byte(rand.Text()), cost)
	return u, err
}

// parseUsers returns the hashes of a file, and the highest cost of them.
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
			return nil, 0, fmt.Errorf("line %d: %q is not the name of a user", n, name)
		case err != nil:
			return nil, 0, fmt.Errorf("line %d: the hash of user %s is not one of bcrypt: set the password with 'mirror user add' or htpasswd -B", n, name)
		case used > maxCost:
			return nil, 0, fmt.Errorf("line %d: the hash of user %s has the cost %d, which takes too long to check: set the password again", n, name, used)
		case hashes[name] != nil:
			return nil, 0, fmt.Errorf("line %d: user %s is there twice", n, name)
		}
		cost = max(cost, used)
		hashes[name] = []byte(hash)
	}
	return hashes, cost, lines.Err()
}

// parseLine takes a line of an htpasswd file apart; comments and empty lines are no users.
func parseLine(line string) (name, hash string, isUser bool) {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return "", "", false
	}
	name, hash, _ = strings.Cut(line, ":")
	return name, hash, true
}

// ValidUser reports whether s can be the name of a user.
func ValidUser(s string) bool {
	if s == "" || len(s) > 255 || s[0] == '#' || s == Anonymous || s == Authenticated || s == "*" {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r == ':' || r == unicode.ReplacementChar || !unicode.IsGraphic(r) || unicode.IsSpace(r)
	})
}

// login reports whether a name and password are right: [mirror.CodeUnauthorized] if not, [mirror.CodeTooManyRequests]
// from where too many were wrong.
func (p *policy) login(r *http.Request, name, password string) error {
	users := p.users.get()
	if len(users.hashes) == 0 {
		return errLogin
	}
	mac := hmac.New(sha256.New, p.secret)
	mac.Write(users.hashes[name]) // has no colon in it, nor has a name
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
	right := p.recentlyVerified(key) // by the request before, of the several that clients send at once
	if !right {
		if right, err = p.compare(r.Context(), p.hashSlots, users, name, password); err != nil {
			done(true)
			return err
		}
	}
	done(right)
	if !right {
		p.log.Warn("login failed", zap.String("user", name[:min(len(name), maxLoggedName)]), zap.String("address", mirror.HostOf(r.RemoteAddr)))
		return errLogin
	}
	p.verified.Add(key, time.Now().Add(verifiedTTL))
	return nil
}

func (k *shared) recentlyVerified(key [sha256.Size]byte) bool {
	until, ok := k.verified.Get(key)
	return ok && time.Now().Before(until)
}

// knows reports whether a password was right once, however long ago, and would be with the hash that its user has now.
func (k *shared) everVerified(key [sha256.Size]byte) bool { return k.verified.Contains(key) }

// again checks a password that was right before. Those who try others, be it from the same address, do not hold it up:
// it waits for none of their turns, and for none of their hashes.
func (p *policy) recheck(ctx context.Context, users *users, key [sha256.Size]byte, name, password string) error {
	right, err := p.compare(ctx, p.knownHashSlots, users, name, password)
	switch {
	case err != nil:
		return err
	case !right:
		return errLogin
	}
	p.verified.Add(key, time.Now().Add(verifiedTTL))
	return nil
}

// check pays for bcrypt, whether there is such a user or not, when there is room in lane.
func (p *policy) compare(ctx context.Context, lane chan struct{}, users *users, name, password string) (right bool, err error) {
	select {
	case lane <- struct{}{}:
		defer func() { <-lane }()
	case <-ctx.Done():
		return false, mirror.Errorf(mirror.CodeUnavailable, "the request was cancelled")
	}
	return users.matches(name, password, bcrypt.CompareHashAndPassword), nil
}

// right reports whether a password is that of a user. A wrong one costs the same for every name, known or not: where the
// hash of a user is cheaper than the dearest, the rest is paid with hashes of 2^cost + 2^cost + 2^(cost+1) + … rounds.
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
	if err != nil || errMost != nil { // both were read before
		return false
	}
	for ; cost < most; cost++ {
		_ = compare(fmt.Appendf(nil, "$2a$%02d%s", cost, u.dummyHash[len("$2a$00"):]), []byte(password))
	}
	return false
}
