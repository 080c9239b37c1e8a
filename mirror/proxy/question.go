package proxy

import (
	"context"
	"sync"

	"airmirror/mirror"
)

// questions are what upstreams are being asked, each question once for all who want to know. It goes on when they have
// left, for the next one; but no longer than until the mirror closes, which it must not hold up for nobody. The zero
// value is ready.
type questions struct {
	mu      sync.Mutex
	m       map[questionKey]*question
	closing bool
}

// questionKey tells questions apart. Those of work in the background may be held back where those of clients are not.
type questionKey struct {
	what       string
	background bool
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
var errClosing = mirror.Errorf(mirror.CodeUnavailable, "the mirror is shutting down")

type choreKey struct{}

// lookup asks f, unless that is under way under the same name, for somebody like ctx. Whoever waits no more calls leave.
func (m *Proxy) lookup(ctx context.Context, what string, f func(net context.Context) (any, error)) (q *question, leave func()) {
	qs := &m.questions
	qs.mu.Lock()
	defer qs.mu.Unlock()
	key := questionKey{what, mirror.IsBackground(ctx)}
	q, known := qs.m[key]
	switch other := qs.m[questionKey{what, !key.background}]; {
	case known || other == nil:
	case key.background:
		q, known = other, true
	default:
		f = other.unlessRefused(f)
	}
	if !known {
		q = &question{done: make(chan struct{})}
		if !m.misses.allow(ctx) {
			q.err = errMisses
			close(q.done)
			return q, func() {}
		}
		_, net := m.network.get()
		if key.background {
			net = mirror.Background(net)
		}
		net, q.end = context.WithCancelCause(net)
		if q.err = m.begin(); q.err != nil {
			q.end(q.err)
			close(q.done)
			return q, func() {}
		}
		if qs.m == nil {
			qs.m = make(map[questionKey]*question)
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

// unlessRefused waits for the answer to q, which work in the background asks, and takes it if it is one. Where there is
// none, be it that nobody was asked, f asks again: what holds back the background holds no client back.
func (q *question) unlessRefused(f func(net context.Context) (any, error)) func(net context.Context) (any, error) {
	return func(net context.Context) (any, error) {
		select {
		case <-q.done:
			if q.err == nil || mirror.Definitive(q.err) {
				return q.answer, q.err
			}
			return f(net)
		case <-net.Done():
			return nil, context.Cause(net)
		}
	}
}

func (qs *questions) ended(key questionKey) {
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
