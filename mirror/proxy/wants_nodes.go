package proxy

import (
	"context"
	"encoding/json"
	"slices"

	"airmirror/mirror"
)

// wantChange is what has changed about a want on this node since it was saved.
type wantChange struct {
	deleted bool
	want    mirror.Want
	misses  int
	stored  bool // see ownedWant
}

// share saves what has changed on this node, and takes over the wants of other nodes. After an error, the next call saves it.
func (w *wants) share(ctx context.Context) error {
	changes := w.takeChanges()
	all, again, err := w.merge(ctx, changes)
	w.mu.Lock()
	if err != nil {
		w.returnChanges(changes)
	} else {
		w.adopt(all)
	}
	w.mu.Unlock()
	for _, key := range again {
		if ref, invalid := mirror.ParseRef(key); invalid == nil && w.available(mirror.WithoutUsage(ctx), ref, all[key].Blob) {
			w.remove(ref.Repo, ref.Digest, ref.Tag)
		}
	}
	return err
}

func (w *wants) takeChanges() map[string]wantChange {
	w.mu.Lock()
	defer w.mu.Unlock()
	changes := make(map[string]wantChange, len(w.changed))
	for key := range w.changed {
		want, exists := w.all[key]
		if !exists {
			changes[key] = wantChange{deleted: true}
			continue
		}
		changes[key] = wantChange{want: *want.ifNew(false), misses: want.misses, stored: want.stored}
		want.misses = 0
	}
	w.changed = make(map[string]bool)
	return changes
}

// returnChanges makes the next call save changes that were not saved. The caller holds the lock.
func (w *wants) returnChanges(changes map[string]wantChange) {
	for key, change := range changes {
		w.changed[key] = true
		if want, exists := w.all[key]; exists {
			want.misses += change.misses
		}
	}
}

// merge saves changes, and returns all wants of the store. again lists those that this node missed once more and another node
// has removed, perhaps because their content was stored after the miss.
func (w *wants) merge(ctx context.Context, changes map[string]wantChange) (all map[string]mirror.Want, again []string, err error) {
	if len(changes) == 0 {
		records, err := w.store.State(ctx, wantState)
		return decodeWants(records), nil, err
	}
	err = w.store.ChangeState(ctx, wantState, func(records map[string][]byte) (map[string][]byte, error) {
		all, again = decodeWants(records), nil
		changed := make(map[string][]byte, len(changes))
		for key, change := range changes {
			theirs, exists := all[key]
			if change.deleted {
				delete(all, key)
				changed[key] = nil
				continue
			}
			if !exists && change.stored {
				again = append(again, key)
			}
			all[key] = addWant(theirs, change)
			changed[key], _ = json.Marshal(all[key]) // cannot fail
		}
		return changed, nil
	})
	return all, again, err
}

// addWant adds what has changed on this node to the want of the store, which may be the zero value.
func addWant(theirs mirror.Want, change wantChange) mirror.Want {
	older, newer := theirs, change.want
	if older.Last.After(newer.Last) {
		older, newer = newer, older
	}
	sum := newer
	sum.Count = theirs.Count + change.misses
	if !older.First.IsZero() && older.First.Before(sum.First) {
		sum.First = older.First
	}
	for _, client := range older.Clients {
		if len(sum.Clients) < maxWantClients && !slices.Contains(sum.Clients, client) {
			sum.Clients = append(slices.Clip(sum.Clients), client)
		}
	}
	return sum
}

// adopt replaces the wants by those of the store, except for what has changed since. The caller holds the lock.
func (w *wants) adopt(all map[string]mirror.Want) {
	for key, want := range all {
		own, exists := w.all[key]
		switch {
		case exists:
			own.Want, own.stored = addWant(want, wantChange{want: own.Want, misses: own.misses}), true
		case !w.changed[key]: // otherwise it was deleted
			w.takeOver(want)
		}
	}
	for key, own := range w.all {
		if _, exists := all[key]; !exists && !w.changed[key] {
			w.shares.Give(own.owner, 1)
			delete(w.all, key)
		}
	}
}
