package middleware

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
)

// maxID is the maximum length of a request ID from a client.
const maxID = 128

// ids generates request IDs: a random prefix per process and a counter.
type ids struct {
	prefix string
	last   *atomic.Uint64
}

func newIDs() ids {
	random := make([]byte, 6)
	rand.Read(random) // never fails
	return ids{hex.EncodeToString(random) + "-", new(atomic.Uint64)}
}

// of returns the ID from the request's X-Request-Id header, or a new one.
func (i ids) of(r *http.Request) string {
	if given := r.Header["X-Request-Id"]; len(given) == 1 && validID(given[0]) {
		return given[0]
	}
	return i.prefix + strconv.FormatUint(i.last.Add(1), 10)
}

// validID reports whether an ID is safe to log.
func validID(id string) bool {
	return id != "" && len(id) <= maxID && strings.IndexFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/+=", r))
	}) < 0
}
