package proxy

import (
	"context"
	"encoding/json"
	"sync"

	"go.uber.org/zap"

	"airmirror/mirror"
)

const (
	verifyNotes = "verify"
	lastNote    = "last"
	lapNote     = "lap"
)

// verified is how verifications went. The zero value is ready.
type verified struct {
	mu      sync.Mutex
	running int
	last    *mirror.VerifySummary
}

// load reads what earlier runs noted. What cannot be read is forgotten.
func (v *verified) load(ctx context.Context, store mirror.StateStore) (lap lap, err error) {
	notes, err := store.State(ctx, verifyNotes)
	var last mirror.VerifySummary
	if json.Unmarshal(notes[lastNote], &last) == nil {
		v.last = &last
	}
	_ = json.Unmarshal(notes[lapNote], &lap)
	return lap, err
}

func (v *verified) begin() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.running++
}

func (v *verified) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.running--
}

// note remembers how one went that came to its end.
func (v *verified) note(m *Proxy, summary mirror.VerifySummary) {
	v.mu.Lock()
	v.last = &summary
	v.mu.Unlock()
	m.noteVerified(lastNote, summary)
}

func (v *verified) status() mirror.VerifyStatus {
	v.mu.Lock()
	defer v.mu.Unlock()
	return mirror.VerifyStatus{Running: v.running > 0, Last: v.last}
}

// noteVerified writes a note, even if the mirror is closing: the store is open until that is over.
func (m *Proxy) noteVerified(key string, value any) {
	text, err := json.Marshal(value)
	if err == nil {
		err = m.store.SetState(context.WithoutCancel(m.ctx), verifyNotes, map[string][]byte{key: text})
	}
	if err != nil {
		m.log.Error("cannot note how far verifying went", zap.Error(err))
	}
}

// untilClose returns a context of long work that nobody needs finished: it ends when the mirror closes.
func (m *Proxy) untilClose(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-m.closeBegan():
			cancel(errClosing)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}
