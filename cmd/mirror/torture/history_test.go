//go:build torture

package torture_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	absent  = ""  // the value of what is not stored
	unknown = "?" // a change whose value is only known when it has succeeded
	never   = math.MaxInt
)

// change is an attempt to give something a value.
type change struct {
	value        string
	began, acked int // positions of the clock; acked is never for what was not acknowledged
}

// history is what was attempted and acknowledged. Changes of one name follow one another.
type history struct {
	now func() int

	mu      sync.Mutex
	changes map[string][]change // by name: a kind, such as tag, a colon, and what it is
}

func newHistory(now func() int) *history {
	return &history{now: now, changes: map[string][]change{}}
}

// attempt records a change that f makes, and that is acknowledged when f succeeds.
func (h *history) attempt(name, value string, f func() error) error {
	return h.record(name, value, func() (string, error) { return value, f() })
}

// produce is attempt for a value that f returns.
func (h *history) produce(name string, f func() (string, error)) error {
	return h.record(name, unknown, f)
}

func (h *history) record(name, value string, f func() (string, error)) error {
	h.mu.Lock()
	began := h.now()
	h.changes[name] = append(h.changes[name], change{value, began, never})
	n := len(h.changes[name]) - 1
	h.mu.Unlock()
	value, err := f()
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes[name][n].value, h.changes[name][n].acked = value, h.now()
	return nil
}

// settle replaces the history of a name by what was found.
func (h *history) settle(name, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes[name] = []change{{value, 0, 0}}
}

// forget drops the histories of a kind.
func (h *history) forget(kind string) {
	for _, name := range h.names(kind) {
		h.mu.Lock()
		delete(h.changes, name)
		h.mu.Unlock()
	}
}

// possible returns the values that a name may have when everything stops at a position: the last acknowledged one, and
// those whose change had begun after it.
func (h *history) possible(name string, at int) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	values := []string{absent}
	for _, c := range h.changes[name] {
		switch {
		case c.acked <= at:
			values = []string{c.value}
		case c.began <= at:
			values = append(values, c.value)
		}
	}
	return values
}

// names returns the names of a kind, sorted, or all without one.
func (h *history) names(kind string) (names []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range h.changes {
		if strings.HasPrefix(name, kind) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// acknowledged returns the positions at which something was acknowledged.
func (h *history) acknowledged() (positions []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, changes := range h.changes {
		for _, c := range changes {
			if c.acked != never {
				positions = append(positions, c.acked)
			}
		}
	}
	slices.Sort(positions)
	return positions
}

// TestHistoryKnowsWhatIsPossible: the last acknowledged value, and what was under way.
func TestHistoryKnowsWhatIsPossible(t *testing.T) {
	clock := 0
	h := newHistory(func() int { clock++; return clock })
	failed := fmt.Errorf("no answer")
	_ = h.attempt("tag:a", "one", func() error { return nil })    // 1 to 2
	_ = h.attempt("tag:a", "two", func() error { return failed }) // 3
	_ = h.attempt("tag:a", absent, func() error { return nil })   // 4 to 5
	for at, want := range []string{"[]", "[ one]", "[one]", "[one two]", "[one two ]", "[]"} {
		if got := fmt.Sprint(h.possible("tag:a", at)); got != want {
			t.Errorf("at %d %s is possible, want %s", at, got, want)
		}
	}
	if got := h.possible("tag:b", 5); len(got) != 1 || got[0] != absent {
		t.Errorf("what was never attempted may be %q", got)
	}
}
