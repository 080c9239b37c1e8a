package middleware

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

// maxID is how long an id may be that a client gives.
const maxID = 128

// ids makes ids of requests: a random part for the process, and a number.
type ids struct {
	prefix string
	last   *atomic.Uint64
}

func newIDs() ids {
	random := make([]byte, 6)
	rand.Read(random) // never fails
	return ids{hex.EncodeToString(random) + "-", new(atomic.Uint64)}
}

// of returns the id that a request has already, from a proxy or a client, or a new one.
func (i ids) of(r *http.Request) string {
	if given := r.Header["X-Request-Id"]; len(given) == 1 && validID(given[0]) {
		return given[0]
	}
	return i.prefix + strconv.FormatUint(i.last.Add(1), 10)
}

// sane reports whether an id can stand in a log as it is.
func validID(id string) bool {
	return id != "" && len(id) <= maxID && strings.IndexFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/+=", r))
	}) < 0
}
