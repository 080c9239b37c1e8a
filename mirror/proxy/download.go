package proxy

import (
	"sync"
	"time"

	"airmirror/mirror"
)

type downloadState int

const (
	downloadWaiting  downloadState = iota // the upstream has not answered yet
	downloadRunning                       // bytes arrive and are not verified yet
	downloadVerified                      // all bytes have arrived and match the digest
	downloadStored                        // the store has the blob, whether it was transferred or not
)

// download is one transfer of one blob. One goroutine runs it, and any number of subscribers read what has arrived.
type download struct {
	subscribers // guarded by the lock of downloads
	key         downloadKey
	repo        mirror.Repo // the repository that the upstream is asked for
	since       time.Time

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when a field below changes
	state    downloadState
	err      error // why it failed
	in       mirror.BlobWriter
	size     int64 // -1 while it is unknown
	received int64
	spans    spanBudget
	repos    []mirror.Repo // further repositories that get the blob
	closed   bool          // repos is final
}

func newDownload(key downloadKey, repo mirror.Repo) *download {
	return &download{key: key, repo: repo, since: time.Now().UTC(), changed: make(chan struct{})}
}

// failedDownload returns a download that has failed, for one subscriber.
func failedDownload(key downloadKey, err error) *download {
	d := newDownload(key, mirror.Repo{})
	d.err, d.keep = err, true
	d.cancel = func(error) {}
	return d
}

// update changes the download under its lock and wakes everybody who waits for a change.
func (d *download) update(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *download) start(in mirror.BlobWriter, size int64) {
	d.update(func() { d.state, d.in, d.size = downloadRunning, in, size })
}

func (d *download) verified() {
	d.update(func() { d.state, d.size = downloadVerified, d.received })
}

func (d *download) stored()        { d.update(func() { d.state = downloadStored }) }
func (d *download) fail(err error) { d.update(func() { d.err = err }) }

// failure returns why the download failed, or nil.
func (d *download) failure() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// transferred returns the number of bytes that came from the upstream: 0 if only the right to read was missing.
func (d *download) transferred() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.received
}

// addRepo makes the download store the blob for repo as well. It returns false if it is too late for that.
func (d *download) addRepo(repo mirror.Repo) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.repos = append(d.repos, repo)
	}
	return !d.closed
}

// closeRepos returns the further repositories that get the blob. None can be added after that.
func (d *download) closeRepos() []mirror.Repo {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return d.repos
}
