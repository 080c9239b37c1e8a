package proxy

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

const (
	wantNotes = "want"
	// maxWantClients is how many clients a want remembers.
	maxWantClients = 8
)

// wants are kept in memory and noted in batches: a client that asks must not wait for the disk, and the memory of a few
// seconds is what a crash may cost.
type wants struct {
	mu      sync.Mutex
	m       map[string]*ownedWant
	changed map[string]bool
	shares  *mirror.Shares[string]
}

// ownedWant is a want and the client whose share it is part of; see [mirror.NetworkName].
type ownedWant struct {
	mirror.Want
	owner string
}

// load reads what earlier runs noted. What cannot be read is dropped.
func (w *wants) load(ctx context.Context, store mirror.StateStore) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.m, w.changed, w.shares = make(map[string]*ownedWant), make(map[string]bool), mirror.NewShares[string](maxWants)
	notes, err := store.State(ctx, wantNotes)
	for ref, note := range notes {
		var want ownedWant
		if json.Unmarshal(note, &want.Want) == nil && want.Ref == ref {
			if n := len(want.Clients); n > 0 {
				want.owner = mirror.NetworkName(want.Clients[n-1])
			}
			w.shares.Force(want.owner, 1)
			w.m[ref] = &want
		}
	}
	return err
}

// add notes that ctx's client asked for ref in vain, and returns the want if nobody did before; nil else.
func (w *wants) add(ctx context.Context, ref mirror.Ref, blob bool, reason error) (added *mirror.Want) {
	key, now := ref.String(), time.Now().UTC().Truncate(time.Second)
	w.mu.Lock()
	defer w.mu.Unlock()
	client := mirror.ClientOf(ctx)
	want, known := w.entry(key, mirror.NetworkName(client), blob, now)
	want.Count, want.Last, want.Reason = want.Count+1, now, reason.Error()
	if client != "" {
		others := slices.DeleteFunc(want.Clients, func(c string) bool { return c == client })
		want.Clients = append([]string{client}, others[:min(len(others), maxWantClients-1)]...)
	}
	w.changed[key] = true
	return want.unless(known)
}

// entry returns the want of a key, a new one of who if there is none, and whether it was known. The caller holds the lock.
func (w *wants) entry(key, who string, blob bool, now time.Time) (want *ownedWant, known bool) {
	want, known = w.m[key]
	if known {
		w.charge(want, who)
		return want, true
	}
	want = &ownedWant{Want: mirror.Want{Ref: key, Blob: blob, First: now, Last: now}}
	w.enter(want, who)
	return want, false
}

// unless returns a copy of a want, or nil if it was known.
func (w *ownedWant) unless(known bool) *mirror.Want {
	if known {
		return nil
	}
	copied := w.Want
	copied.Clients = slices.Clone(w.Clients)
	return &copied
}

// lost notes that ref was held and is not, though no client asked for it so far. It returns the want if it is new; nil else.
func (w *wants) lost(ref mirror.Ref, blob bool, reason error) (added *mirror.Want) {
	key, now := ref.String(), time.Now().UTC().Truncate(time.Second)
	w.mu.Lock()
	defer w.mu.Unlock()
	want, known := w.entry(key, "", blob, now)
	want.Reason = reason.Error()
	w.changed[key] = true
	return want.unless(known)
}

func lessWanted(a, b *mirror.Want) int {
	return cmp.Or(cmp.Compare(a.Count, b.Count), a.Last.Compare(b.Last), cmp.Compare(a.Ref, b.Ref))
}

func (w *wants) drop(key string) {
	if want, ok := w.m[key]; ok {
		w.shares.Give(want.owner, 1)
		delete(w.m, key)
		w.changed[key] = true
	}
}

// fulfilled strikes off what is held now.
func (w *wants) fulfilled(repo mirror.Repo, d digest.Digest, tags ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.m) == 0 {
		return
	}
	w.drop(mirror.Ref{Repo: repo, Digest: d}.String())
	for _, tag := range tags {
		w.drop(mirror.Ref{Repo: repo, Tag: tag}.String())
	}
}

func (w *wants) has(ref mirror.Ref) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.m[ref.String()] != nil
}

func (w *wants) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.m)
}

// list returns the wants, the most wanted first.
func (w *wants) list() []mirror.Want {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]mirror.Want, 0, len(w.m))
	for _, want := range w.m {
		copied := want.Want
		copied.Clients = slices.Clone(want.Clients)
		list = append(list, copied)
	}
	slices.SortFunc(list, func(a, b mirror.Want) int { return lessWanted(&b, &a) })
	return list
}

// note writes what has changed since the last time.
func (w *wants) note(ctx context.Context, store mirror.StateStore) error {
	w.mu.Lock()
	notes := make(map[string][]byte, len(w.changed))
	for key := range w.changed {
		notes[key] = nil
		if want, ok := w.m[key]; ok {
			notes[key], _ = json.Marshal(want.Want) // a Want can be written
		}
	}
	w.changed = make(map[string]bool)
	w.mu.Unlock()
	if len(notes) == 0 {
		return nil
	}
	err := store.SetState(ctx, wantNotes, notes)
	if err != nil { // again with the next batch
		w.mu.Lock()
		for key := range notes {
			w.changed[key] = true
		}
		w.mu.Unlock()
	}
	return err
}

// of returns the repositories that want a digest.
func (w *wants) of(d digest.Digest) (repos []mirror.Repo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.m {
		if !strings.HasSuffix(key, "@"+d.String()) {
			continue
		}
		if ref, err := mirror.ParseRef(key); err == nil {
			repos = append(repos, ref.Repo)
		}
	}
	return repos
}

// blobCame strikes off the wants that a blob fulfilled that came for repo: its own, and those of all repositories that may
// read it.
func (m *Proxy) blobCame(repo mirror.Repo, d digest.Digest) {
	for _, other := range m.wants.of(d) {
		stat, err := m.store.StatBlob(mirror.WithoutUsage(m.ctx), other, d)
		if other == repo || err == nil && stat.Stored && stat.Linked {
			m.wants.fulfilled(other, d)
		}
	}
}

// confirmWanted asks for the other repositories that want a blob which came whether the upstream that sent it has it there
// as well.
func (m *Proxy) confirmWanted(repo mirror.Repo, d digest.Digest) {
	for _, other := range m.wants.of(d) {
		stat, err := m.store.StatBlob(mirror.WithoutUsage(m.ctx), other, d)
		if other == repo || err != nil || !stat.Confirmable || !stat.Referenced || m.mayFetch(m.ctx, other) != nil {
			continue
		}
		if err := m.confirm(m.ctx, other, d); err != nil {
			m.log.Info("a blob that is wanted came to another repository", zap.Stringer("repo", other), zap.Stringer("blob", d), zap.Error(err))
			continue
		}
		m.wants.fulfilled(other, d)
	}
}

// wanted tells of a want if it is new.
func (m *Proxy) wanted(added *mirror.Want) {
	if added != nil {
		m.opts.OnWant(*added)
	}
}

// Wants lists what clients asked for and could not be given, the most wanted first.
func (m *Proxy) Wants() []mirror.Want {
	list := m.wants.list()
	m.namePlatforms(list)
	return list
}

// ForgetWants strikes off wants by their [mirror.Want.Ref], all of them if none is named, and returns how many there were.
func (m *Proxy) ForgetWants(refs ...string) int {
	m.wants.mu.Lock()
	defer m.wants.mu.Unlock()
	before := len(m.wants.m)
	if len(refs) == 0 {
		for key := range m.wants.m {
			m.wants.drop(key)
		}
	}
	for _, key := range refs {
		m.wants.drop(key)
	}
	return before - len(m.wants.m)
}
