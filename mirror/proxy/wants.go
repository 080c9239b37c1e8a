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
	// wantState is the kind of the records that hold wants, by reference.
	wantState = "want"
	// maxWantClients is the maximum number of clients that a want names.
	maxWantClients = 8
)

// wants are the images and blobs that clients requested and could not get. They are kept in memory and saved in
// batches, so that no client waits for the disk. A crash loses the wants of the last few seconds.
type wants struct {
	store    mirror.Store
	content  *content
	absent   absentCache
	counters *counters
	onWant   func(mirror.Want) // see [Options.OnWant]
	tasks    *tasks
	shared   bool // other nodes have wants in the same store
	log      *zap.Logger

	mu      sync.Mutex
	all     map[string]*ownedWant // by reference
	changed map[string]bool       // keys that the next save writes
	shares  *mirror.Shares[string]
}

// ownedWant is a want and the client whose share it uses; see [mirror.NetworkName].
type ownedWant struct {
	mirror.Want
	owner  string
	misses int  // on this node, that the store does not have yet; counted if the store is shared
	stored bool // the store has had it; set if the store is shared
}

// load reads the wants of earlier runs. It skips records that it cannot read.
func (w *wants) load(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all, w.changed, w.shares = make(map[string]*ownedWant), make(map[string]bool), mirror.NewShares[string](maxWants)
	state, err := w.store.State(ctx, wantState)
	for _, want := range decodeWants(state) {
		w.takeOver(want)
	}
	return err
}

// decodeWants returns the wants of records by reference. It skips records that it cannot read.
func decodeWants(records map[string][]byte) map[string]mirror.Want {
	wants := make(map[string]mirror.Want, len(records))
	for ref, record := range records {
		var want mirror.Want
		if json.Unmarshal(record, &want) == nil && want.Ref == ref {
			wants[ref] = want
		}
	}
	return wants
}

// takeOver adds a want of the store. The caller holds the lock.
func (w *wants) takeOver(want mirror.Want) {
	owned := &ownedWant{Want: want, stored: true}
	if n := len(want.Clients); n > 0 {
		owned.owner = mirror.NetworkName(want.Clients[n-1])
	}
	w.shares.Force(owned.owner, 1)
	w.all[want.Ref] = owned
}

// save writes the wants that have changed since the last call. After an error, the next call writes them.
func (w *wants) save(ctx context.Context) error {
	if w.shared {
		return w.share(ctx)
	}
	w.mu.Lock()
	records := make(map[string][]byte, len(w.changed))
	for key := range w.changed {
		records[key] = nil
		if want, ok := w.all[key]; ok {
			records[key], _ = json.Marshal(want.Want) // cannot fail
		}
	}
	w.changed = make(map[string]bool)
	w.mu.Unlock()
	if len(records) == 0 {
		return nil
	}
	err := w.store.SetState(ctx, wantState, records)
	if err != nil {
		w.mu.Lock()
		for key := range records {
			w.changed[key] = true
		}
		w.mu.Unlock()
	}
	return err
}

// add adds or updates the want for a miss of the client of ctx. It returns the want if it is new, and nil otherwise.
func (w *wants) add(ctx context.Context, ref mirror.Ref, blob bool, reason error) (added *mirror.Want) {
	key, now := ref.String(), time.Now().UTC().Truncate(time.Second)
	w.mu.Lock()
	defer w.mu.Unlock()
	client := mirror.ClientOf(ctx)
	want, known := w.get(key, mirror.NetworkName(client), blob, now)
	want.Count, want.Last, want.Reason = want.Count+1, now, reason.Error()
	want.misses++
	if client != "" {
		others := slices.DeleteFunc(want.Clients, func(c string) bool { return c == client })
		want.Clients = append([]string{client}, others[:min(len(others), maxWantClients-1)]...)
	}
	w.changed[key] = true
	return want.ifNew(known)
}

// addLost adds the want for content that was stored and is lost, though no client requested it yet. It returns the want if
// it is new, and nil otherwise.
func (w *wants) addLost(ref mirror.Ref, blob bool, reason error) (added *mirror.Want) {
	key, now := ref.String(), time.Now().UTC().Truncate(time.Second)
	w.mu.Lock()
	defer w.mu.Unlock()
	want, known := w.get(key, "", blob, now)
	want.Reason, want.Lost = reason.Error(), true
	w.changed[key] = true
	return want.ifNew(known)
}

// get returns the want with a key, and whether it existed. It adds it for owner if not. The caller holds the lock.
func (w *wants) get(key, owner string, blob bool, now time.Time) (want *ownedWant, known bool) {
	want, known = w.all[key]
	if known {
		w.reassign(want, owner)
		return want, true
	}
	want = &ownedWant{Want: mirror.Want{Ref: key, Blob: blob, First: now, Last: now}}
	w.insert(want, owner)
	return want, false
}

// ifNew returns a copy of a want, or nil if the want was known before.
func (w *ownedWant) ifNew(known bool) *mirror.Want {
	if known {
		return nil
	}
	copied := w.Want
	copied.Clients = slices.Clone(w.Clients)
	return &copied
}

// delete removes the want with a key. The caller holds the lock.
func (w *wants) delete(key string) {
	if want, ok := w.all[key]; ok {
		w.shares.Give(want.owner, 1)
		delete(w.all, key)
		w.changed[key] = true
	}
}

// remove removes the wants for content that is stored now.
func (w *wants) remove(repo mirror.Repo, d digest.Digest, tags ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.all) == 0 {
		return
	}
	w.delete(mirror.Ref{Repo: repo, Digest: d}.String())
	for _, tag := range tags {
		w.delete(mirror.Ref{Repo: repo, Tag: tag}.String())
	}
}

func (w *wants) has(ref mirror.Ref) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[ref.String()] != nil
}

func (w *wants) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.all)
}

// compareWants orders wants by the number of their requests, then by the time of the last one, both descending.
func compareWants(a, b *mirror.Want) int {
	return cmp.Or(cmp.Compare(a.Count, b.Count), a.Last.Compare(b.Last), cmp.Compare(a.Ref, b.Ref))
}

// list returns the wants, the most requested first.
func (w *wants) list() []mirror.Want {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := make([]mirror.Want, 0, len(w.all))
	for _, want := range w.all {
		list = append(list, *want.ifNew(false))
	}
	slices.SortFunc(list, func(a, b mirror.Want) int { return compareWants(&b, &a) })
	return list
}

// repos returns the repositories that want a digest.
func (w *wants) repos(d digest.Digest) (repos []mirror.Repo) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key := range w.all {
		if !strings.HasSuffix(key, "@"+d.String()) {
			continue
		}
		if ref, err := mirror.ParseRef(key); err == nil {
			repos = append(repos, ref.Repo)
		}
	}
	return repos
}

// announce calls [Options.OnWant] with a want unless it is nil.
func (w *wants) announce(added *mirror.Want) {
	if added != nil {
		w.onWant(*added)
	}
}

// missed returns the error of a miss: code, what was requested, and why it is not available. A miss that is temporary
// becomes a want, except for the tags of signatures and other referrers, which are fetched with their image.
func (w *wants) missed(ctx context.Context, code mirror.Code, ref mirror.Ref, reason error) error {
	w.log.Info("miss", zap.Stringer("of", ref), zap.Bool("blob", code == mirror.CodeBlobUnknown), zap.Error(reason))
	if !mirror.Definitive(reason) && !isReferrerTag(ref.Tag) {
		w.counters.wants.Add(1)
		w.announce(w.add(ctx, ref, code == mirror.CodeBlobUnknown, reason))
	}
	return mirror.MissError(code, ref, reason)
}

// isReferrerTag reports whether clients look up a tag beside an image: those of signatures, attestations and SBOMs of cosign,
// and of the referrers of registries without an API for them.
func isReferrerTag(tag string) bool {
	name, suffix, found := strings.Cut(tag, ".")
	if found && suffix != "sig" && suffix != "att" && suffix != "sbom" {
		return false
	}
	_, err := mirror.ParseDigest(strings.Replace(name, "-", ":", 1))
	return err == nil
}

// Wants lists the wants, the most requested first.
func (w *wants) Wants() []mirror.Want {
	list := w.list()
	w.addPlatforms(list)
	return list
}

// ForgetWants removes wants by their [mirror.Want.Ref], or all of them if none is given. It returns how many it removed.
func (w *wants) ForgetWants(refs ...string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := len(w.all)
	if len(refs) == 0 {
		for key := range w.all {
			w.delete(key)
		}
	}
	for _, key := range refs {
		w.delete(key)
	}
	return before - len(w.all)
}
