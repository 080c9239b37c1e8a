package proxy

import (
	"context"
	"io"
	"sync"

	"airmirror/mirror"
)

type flightState int

const (
	flightWaiting  flightState = iota // the upstream has not begun to answer
	flightUnderWay                    // bytes arrive, not yet verified
	flightVerified                    // all bytes are in and are the right ones
	flightHeld                        // the store has it: the flight landed, or there was nothing to transfer
)

// flight is one transfer of one blob. One goroutine carries it, any number read what has arrived.
type flight struct {
	riders // guarded by the lock of the flights
	key    flightKey
	repo   mirror.Repo // whose upstream it is from

	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, whenever something below changes
	state   flightState
	err     error // why it ended early
	in      mirror.BlobWriter
	size    int64 // -1 while nobody knows
	arrived int64
	aside   aside
	also    []mirror.Repo // the repositories that it lands for beside its own
	closed  bool          // no more of them
}

// update changes the flight under its lock and wakes whoever waits for a change.
func (f *flight) update(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *flight) held()          { f.update(func() { f.state = flightHeld }) }
func (f *flight) fail(err error) { f.update(func() { f.err = err }) }

// lands has a flight land for repo as well. It reports whether it is not too late for that.
func (f *flight) lands(repo mirror.Repo) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.also = append(f.also, repo)
	}
	return !f.closed
}

// close returns the repositories that a flight lands for beside its own; there are no more from then on.
func (f *flight) close() []mirror.Repo {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return f.also
}

func (f *flight) depart(in mirror.BlobWriter, size int64) {
	f.update(func() { f.state, f.in, f.size = flightUnderWay, in, size })
}

func (f *flight) verified() {
	f.update(func() { f.state, f.size = flightVerified, f.arrived })
}

// grounded is a flight that does not depart, for one rider.
func grounded(key flightKey, err error) *flight {
	f := &flight{key: key, changed: make(chan struct{}), err: err}
	f.cancel = func(error) {}
	f.kept = true
	return f
}

// carryBuffer is how much of a transfer is in memory at a time.
const carryBuffer = 128 << 10

// maxUnsized is how many bytes of a blob are taken in whose size neither its upstream nor a manifest says.
const maxUnsized = 64 << 30

// carry writes what body yields into the store and tells the readers, until body ends. A body that is longer than the
// flight's size fails at once, and so does one without a size that does not seem to end; one that is shorter fails when
// it ends. room says whether there is any for more.
func (f *flight) carry(body io.Reader, room func(need int64) error) error {
	buf := make([]byte, carryBuffer)
	looked := int64(0)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if f.size >= 0 && f.arrived+int64(n) > f.size {
				return mirror.Errorf(mirror.CodeUnavailable, "the upstream sends more than the %d bytes it announced", f.size)
			}
			if f.size < 0 && f.arrived+int64(n) > maxUnsized {
				return mirror.Errorf(mirror.CodeUnavailable, "the upstream does not say how large the blob is, and sends more than %d GiB", maxUnsized>>30)
			}
			if f.arrived-looked >= roomEvery {
				if err := room(int64(n)); err != nil {
					return &storeFault{err}
				}
				looked = f.arrived
			}
			if _, err := f.in.Write(buf[:n]); err != nil {
				return &storeFault{err}
			}
			f.update(func() { f.arrived += int64(n) })
		}
		switch {
		case err == io.EOF && f.size >= 0 && f.arrived < f.size:
			return mirror.Errorf(mirror.CodeUnavailable, "the upstream ended after %d of %d bytes", f.arrived, f.size)
		case err == io.EOF:
			return nil
		case err != nil:
			return mirror.Errorf(mirror.CodeUnavailable, "the upstream broke off after %d bytes: %w", f.arrived, err)
		}
	}
}

// departed waits until there is something of the blob to be read, or it is known that it cannot be had. The size is -1
// while the upstream does not say it.
func (f *flight) departed(ctx context.Context) (flightState, int64, error) {
	for {
		f.mu.Lock()
		state, size, arrived, err, changed := f.state, f.size, f.arrived, f.err, f.changed
		f.mu.Unlock()
		switch {
		case state == flightHeld || state == flightVerified:
			return state, size, nil
		case err != nil:
			return state, 0, err
		case state == flightUnderWay && size > 0: // whoever reads nothing is not held back: that is to be true
			return state, size, nil
		case state == flightUnderWay && size < 0 && arrived > 1: // the last byte is kept back, and any may be that one
			return state, size, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return state, 0, ctx.Err()
		}
	}
}

// sized waits until it is known how large the blob is, which takes until it is all there if the upstream does not say, or
// that it cannot be had.
func (f *flight) sized(ctx context.Context) (int64, error) {
	for {
		f.mu.Lock()
		state, size, err, changed := f.state, f.size, f.err, f.changed
		f.mu.Unlock()
		switch {
		case state >= flightVerified || state == flightUnderWay && size >= 0:
			return size, nil
		case err != nil:
			return 0, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// watch waits until the flight has landed or failed, and tells about what arrives.
func (f *flight) watch(ctx context.Context, tell func(arrived int64)) error {
	for {
		f.mu.Lock()
		arrived, changed := f.arrived, f.changed
		done := f.state == flightHeld || f.err != nil
		f.mu.Unlock()
		tell(arrived)
		if done {
			return f.landed(ctx)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follow is watch for a blob of size bytes: it passes on to progress what arrives.
func (f *flight) follow(ctx context.Context, size int64, progress mirror.Progress) error {
	var told int64
	err := f.watch(ctx, func(arrived int64) {
		progress.Did(arrived - told)
		told = arrived
	})
	if err == nil {
		progress.Did(size - told) // what did not have to be transferred
	}
	return err
}

// brought is how many bytes were transferred: none where only the right to read was missing.
func (f *flight) brought() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.arrived
}

// landed waits until the store has the blob, or the flight ended without.
func (f *flight) landed(ctx context.Context) error {
	for {
		f.mu.Lock()
		state, err, changed := f.state, f.err, f.changed
		f.mu.Unlock()
		if state == flightHeld || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// readable waits until there is something to read at off, and says up to where. The last byte of a blob is kept back
// until all of them are verified, so that no client takes wrong bytes for a whole blob; of one whose size nobody knows
// that is the last to have arrived. At the end it returns [io.EOF].
func (f *flight) readable(ctx context.Context, off int64) (int64, error) {
	for {
		f.mu.Lock()
		end, err, changed, verified := f.arrived, f.err, f.changed, f.state >= flightVerified
		if isStoreFault(err) && !verified { // nobody will verify what is there
			end = 0
		}
		if !verified && (end == f.size || f.size < 0) {
			end--
		}
		f.mu.Unlock()
		switch {
		case off < end:
			return end, nil
		case verified:
			return 0, io.EOF
		case err != nil:
			return 0, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
