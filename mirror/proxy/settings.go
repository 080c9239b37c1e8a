package proxy

import (
	"bytes"
	"context"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"

	"airmirror/mirror"
)

const (
	// settingState is the kind of the records that hold the mode and the read-only setting.
	settingState = "setting"
	// followInterval is how often a node reads what others have set.
	followInterval = time.Second
)

// settings saves what is set on this node. What could not be saved stays in effect, and what other nodes set is ignored
// until it is saved.
type settings struct {
	store mirror.StateStore

	saving sync.Mutex // held while records are written

	mu      sync.Mutex
	changes int               // counts changes on this node, and that they are saved
	unsaved map[string][]byte // records of changes that are not saved; nil deletes one
}

// change applies a change at once, and then saves its record.
func (s *settings) change(ctx context.Context, key string, record []byte, apply func()) error {
	s.mu.Lock()
	apply()
	s.changes++
	s.unsaved[key] = record
	s.mu.Unlock()
	return s.save(ctx)
}

// save saves the changes that are not saved.
func (s *settings) save(ctx context.Context) error {
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	records := maps.Clone(s.unsaved)
	s.mu.Unlock()
	if len(records) == 0 {
		return nil
	}
	if err := s.store.SetState(ctx, settingState, records); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes++
	for key, record := range records {
		if bytes.Equal(s.unsaved[key], record) {
			delete(s.unsaved, key)
		}
	}
	return nil
}

// follow calls apply with what the nodes have set, unless something changes on this node meanwhile.
func (s *settings) follow(ctx context.Context, apply func(state map[string][]byte)) error {
	if err := s.save(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	before := s.changes
	s.mu.Unlock()
	state, err := s.store.State(ctx, settingState)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.changes == before {
		apply(state)
	}
	return err
}

// followSettings applies what other nodes set, until Close.
func (p *Proxy) followSettings() {
	defer p.tasks.done()
	ctx, cancel := p.tasks.untilClose(p.tasks.ctx)
	defer cancel()
	failed := false
	for p.tasks.sleep(followInterval) {
		err := p.settings.follow(ctx, p.applySettings)
		if err != nil && !failed && ctx.Err() == nil {
			p.log.Error("cannot read the mode that other nodes set, trying again each second", zap.Error(err))
		}
		failed = err != nil
	}
}

// applySettings applies the settings of the store that differ from those of this node.
func (p *Proxy) applySettings(state map[string][]byte) {
	mode, err := mirror.ParseMode(string(state[modeKey]))
	if err == nil && mode != p.Mode() && !p.opts.Offline {
		p.network.set(p.tasks.ctx, mode)
		p.backfill.retry()
		p.log.Info("mode changed on another node", zap.String("mode", string(mode)))
	}
	if on := len(state[readOnlyKey]) > 0; on != p.ReadOnly() {
		p.writes.readOnly.Store(on)
		p.backfill.retry()
		p.log.Info("read-only changed on another node", zap.Bool("readOnly", on))
	}
}
