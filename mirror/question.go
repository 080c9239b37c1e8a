package mirror

import (
	"context"
	"sync"
)

// questions are what upstreams are being asked, each question once for all who want to know. It goes on when they have
// left, for the next one; but no longer than until the mirror closes, which it must not hold up for nobody. The zero
// value is ready.
type questions struct {
	mu      sync.Mutex
	m       map[string]*question
	closing bool
}

// question is one that is under way. Its answer may be read once done is closed.
type question struct {
	waiting int // clients
	end     context.CancelCauseFunc
	done    chan struct{}
	answer  any
	err     error
}

// errClosing ends what goes on in the background, when the mirror closes.
var errClosing = Errorf(CodeUnavailable, "the mirror is shutting down")

type choreKey struct{}

// lookup asks f, unless that is under way under the same key. Whoever waits no more calls leave.
func (m *Mirror) lookup(ctx context.Context, key string, f func(net context.Context) (any, error)) (q *question, leave func()) {
	qs := &m.questions
	qs.mu.Lock()
	defer qs.mu.Unlock()
	q, known := qs.m[key]
	if !known {
		q = &question{done: make(chan struct{})}
		var net context.Context
		_, net = m.network.get()
		net, q.end = context.WithCancelCause(net)
		if q.err = m.begin(); q.err != nil {
			q.end(q.err)
			close(q.done)
			return q, func() {}
		}
		if qs.m == nil {
			qs.m = make(map[string]*question)
		}
		qs.m[key] = q
		go func() {
			defer m.work.Done()
			q.answer, q.err = f(net)
			qs.ended(key)
			close(q.done)
			q.end(nil)
		}()
	}
	if ctx.Value(choreKey{}) != nil { // it waits, but nobody waits for it
		qs.endIdle(q)
		return q, func() {}
	}
	q.waiting++
	return q, func() {
		qs.mu.Lock()
		defer qs.mu.Unlock()
		q.waiting--
		qs.endIdle(q)
	}
}

func (qs *questions) ended(key string) {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	delete(qs.m, key)
}

// close ends the questions whose answers nobody waits for, now and from now on.
func (qs *questions) close() {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	qs.closing = true
	for _, q := range qs.m {
		qs.endIdle(q)
	}
}

func (qs *questions) endIdle(q *question) {
	if qs.closing && q.waiting == 0 {
		q.end(errClosing)
	}
}
