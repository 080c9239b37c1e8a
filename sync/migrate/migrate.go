// Package migrate moves in what another registry holds: from the folder that the distribution registry
// (https://github.com/distribution/distribution, which most call "the registry" or registry:2) stores everything in, or
// from any registry that answers.
//
// # Names
//
// A repository keeps its name: what clients pulled as old:5000/team/app they pull as new:5000/team/app. So it is stored
// as a push of that name to this mirror would be, in a repository that is local from then on, unless it was there
// before: no upstream is ever asked for it. Only the folder of a pull-through cache is another matter. What is in there
// came from an upstream, and is imported: it goes on being mirrored.
//
// Names that mean one image to clients, as nginx, library/nginx and docker.io/library/nginx do, may have tags that differ.
// These are a conflict: none of them is taken, and each is told with the other.
//
// # What is taken
//
// All tags, everything that they lead to and, from a folder, also manifests that only have a digest. A blob is taken if a
// manifest needs it, and a manifest if all its blobs can be had. An index may lack manifests that are not in the registry
// either, or cannot be had whole; but not those that could not be read this time. What was left out is told, each with
// its reason, and keeps nothing else from being taken.
//
// What is read is hostile until proven: each digest is verified, and nothing is kept in memory that grows with what is read, beside the digests and names of some repositories at a time.
//
// # Again
//
// What is held is not read again, so a run that was broken off goes on where it stopped when it is repeated, and one that
// is repeated later brings what is new. A tag that was pushed to this mirror and points elsewhere stays as it is, unless
// the request says otherwise.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
)

// Store is where everything goes; the store of a mirror is one.
type Store interface {
	mirror.ImportStore
	Receive(ctx context.Context, d digest.Digest) (mirror.BlobWriter, error)
}

// RegistryClient is a registry that answers, under its host; a client of the package upstream is one. All of it may be used
// concurrently. Its errors are those of [mirror.Upstream].
type RegistryClient interface {
	// Catalog lists the names of all repositories at host, as the registry writes them.
	Catalog(ctx context.Context, host string) ([]string, error)
	Tags(ctx context.Context, repo mirror.Repo) ([]string, error)
	Manifest(ctx context.Context, ref mirror.Ref) (mirror.Manifest, error)
	Blob(ctx context.Context, repo mirror.Repo, d digest.Digest) (body io.ReadCloser, size int64, err error)
	Referrers(ctx context.Context, repo mirror.Repo, subject digest.Digest) ([]v1.Descriptor, error)
}

// Request says what to move in: from Root or from From.
type Request struct {
	// Root is the path of the folder that a registry stores everything in: what its configuration calls rootdirectory.
	Root string `json:"root,omitempty"`
	// From is the host of a registry.
	From string `json:"from,omitempty"`
	// Repos are patterns, see [mirror.Match], of the names of repositories; all if there are none.
	Repos []string `json:"repos,omitempty"`
	// Overwrite points tags that were pushed to this mirror at what they are in the other registry.
	Overwrite bool `json:"overwrite,omitempty"`
	// Parallel is how many blobs are read at a time; 4 if it is zero.
	Parallel int `json:"parallel,omitempty"`
}

// Check reports what of a request cannot be understood.
func (req Request) Check() error {
	switch {
	case (req.Root == "") == (req.From == ""):
		return errors.New("name either the storage folder of a registry or the host of one")
	case req.From != "" && !mirror.ValidHost(req.From):
		return fmt.Errorf("%q is not the name of a registry host", req.From)
	}
	for _, pattern := range req.Repos {
		if !mirror.ValidPattern(pattern) {
			return fmt.Errorf("%q is not a pattern: write a name such as team/app, or team/**", pattern)
		}
	}
	return nil
}

// The kinds of [Event].
const (
	// KindPlan comes once, when it is known what there is. Total is how many repositories that is.
	KindPlan = "plan"
	// KindProgress comes now and then. Total and Done are bytes to read and read so far; Total grows while manifests are
	// read. Doing says what is being worked on.
	KindProgress = "progress"
	// KindSkipped says that a tag, a manifest or a repository was left out, and why.
	KindSkipped = "left"
	// KindKept says that a tag that was pushed to this mirror was left as it is: it points at Was.
	KindKept = "kept"
	// KindRepository says that a repository is done: its Tags and Manifests are here, and Left were left out.
	KindRepository = "repository"
	// KindDone comes last, with the Summary. Total and Done are as in KindProgress.
	KindDone = "done"
)

// Event is something that happened.
type Event struct {
	Time      time.Time
	Kind      string
	Name      string // of a repository, or name:tag or name@digest
	Total     int64
	Done      int64
	Doing     string
	Tags      int
	Manifests int
	Skipped   int
	Digest    digest.Digest // that a kept tag points at in the other registry
	Was       digest.Digest // and here
	Error     string
	Summary   *Summary
}

// Summary is what became of a request.
type Summary struct {
	Repositories int `json:"repositories"` // that something was taken from
	Tags         int `json:"tags"`         // that point at what they do there
	Manifests    int `json:"manifests"`    // that are here now
	// Blobs and Bytes were not held before, manifests included. Of these bytes, Linked were not copied: their files have
	// a second name now.
	Blobs   int   `json:"blobs"`
	Bytes   int64 `json:"bytes"`
	Linked  int64 `json:"linked"`
	Skipped int   `json:"skipped"` // how many tags, manifests and repositories were left out
	Kept    int   `json:"kept"`    // how many pushed tags stayed as they were
	// Cache says that the folder is that of a pull-through cache.
	Cache bool `json:"cache,omitempty"`
}

// Folder moves in what the folder of a registry has, and tells what happens; tell is never called twice at the same
// time, nor after Folder has returned. The registry may be running. The error is for a folder that is none, a store that
// takes nothing, or ctx that ended; what is in the summary then is done all the same.
func Folder(ctx context.Context, store Store, names mirror.Names, req Request, tell func(Event)) (Summary, error) {
	f, err := openFolder(store, req)
	if err != nil {
		return Summary{}, err
	}
	how := importAs{origin: mirror.Pushed, local: true}
	if f.cache {
		how = importAs{origin: mirror.Imported}
	}
	r := newRun(store, names, req, f, how, tell)
	f.progress, r.summary.Cache = r.Reporter, f.cache
	return r.do(ctx, folderWorkers)
}

// Registry moves in what the registry req.From has; all else is as with [Folder]. A repository that is named in full, and
// not by a pattern, is looked for whether the registry lists it or not.
func Registry(ctx context.Context, store Store, names mirror.Names, source RegistryClient, req Request, tell func(Event)) (Summary, error) {
	if err := checkRequest(req, req.From); err != nil {
		return Summary{}, err
	}
	l := &registry{client: source, store: store, host: mirror.CanonicalHost(req.From), repos: req.Repos}
	r := newRun(store, names, req, l, importAs{origin: mirror.Pushed, local: true}, tell)
	l.progress = r.Reporter
	return r.do(ctx, liveWorkers)
}

// checked is for a request that must have what.
func checkRequest(req Request, what string) error {
	if err := req.Check(); err != nil {
		return mirror.Errorf(mirror.CodeUnsupported, "%w", err)
	}
	if what == "" {
		return mirror.Errorf(mirror.CodeUnsupported, "the request names another kind of place to move in from")
	}
	return nil
}
