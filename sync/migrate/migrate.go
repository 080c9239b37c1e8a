// Package migrate copies the content of another registry: from the storage folder of the distribution registry
// (https://github.com/distribution/distribution, also known as registry:2), or through the API of any registry.
//
// # Names
//
// A repository keeps its name: clients that pulled old:5000/team/app pull new:5000/team/app. Its content is stored as
// if a client had pushed it to this mirror under that name. A repository that did not exist before becomes local, so no
// upstream is asked for its content. The folder of a pull-through cache is different: its content is from an upstream,
// so it is imported into a repository that is still mirrored.
//
// Several names may mean the same image to clients: nginx, library/nginx and docker.io/library/nginx. If a tag has
// different digests under such names, these are a conflict: the tag is skipped under all of them, and each is reported
// with the others.
//
// # What is migrated
//
// A migration copies all tags with all content that they refer to and, from a folder, also manifests without a tag. It
// copies a blob if a manifest needs it, and a manifest if all its blobs are available. An index may lack manifests that
// the registry lacks as well, or whose blobs are missing, but not manifests that exist and could not be read. Skipped
// content is reported with the reason, and does not affect other content.
//
// The other registry is not trusted. Every digest is verified. Memory does not grow with the content, except for the names
// and digests of a few repositories at a time.
//
// # Running it again
//
// Stored content is not read again: a migration that was interrupted continues when it is repeated, and a later one copies
// what is new. A tag that was pushed to this mirror and points elsewhere is not moved, unless [Request.Overwrite] is set.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/mirror"
	"airmirror/sync/progress"
)

// Store stores the migrated content. The store of a mirror implements it.
type Store interface {
	mirror.ImportStore
	Receive(ctx context.Context, d digest.Digest) (mirror.BlobWriter, error)
}

// RegistryClient reads a registry through its API; the client of package upstream implements it. It is safe for concurrent
// use. Its errors are those of [mirror.Upstream].
type RegistryClient interface {
	// Catalog lists the names of all repositories of the registry at host, as the registry writes them.
	Catalog(ctx context.Context, host string) ([]string, error)
	Tags(ctx context.Context, repo mirror.Repo) ([]string, error)
	Manifest(ctx context.Context, ref mirror.Ref) (mirror.Manifest, error)
	Blob(ctx context.Context, repo mirror.Repo, d digest.Digest) (body io.ReadCloser, size int64, err error)
	Referrers(ctx context.Context, repo mirror.Repo, subject digest.Digest) ([]v1.Descriptor, error)
}

// Request selects the content to migrate: from Root or from From.
type Request struct {
	// Root is the path of the storage folder of a registry: rootdirectory in its configuration.
	Root string `json:"root,omitempty"`
	// From is the host of a registry.
	From string `json:"from,omitempty"`
	// Repos are patterns, see [mirror.Match], of the names of repositories. All match if it is empty.
	Repos []string `json:"repos,omitempty"`
	// Overwrite moves tags that were pushed to this mirror to the digest in the other registry.
	Overwrite bool `json:"overwrite,omitempty"`
	// Parallel is how many blobs are read concurrently; 4 if zero.
	Parallel int `json:"parallel,omitempty"`
}

// Check returns an error if the request is invalid.
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

// Folder migrates the content of the storage folder of a registry, which may be running. It calls report for each event, never
// concurrently and not after it has returned. It returns an error if the folder is not that of a registry, if the store
// fails, or if ctx ends; the content in the summary is stored nevertheless.
func Folder(ctx context.Context, store Store, names mirror.Names, req Request, p *progress.Reporter, report func(Event)) (Summary, error) {
	f, err := openFolder(store, req)
	if err != nil {
		return Summary{}, err
	}
	as := storeAs{origin: mirror.Pushed, local: true}
	if f.cache {
		as = storeAs{origin: mirror.Imported}
	}
	r := newRun(store, names, req, f, as, p, report)
	f.progress, r.summary.Cache = p, f.cache
	return r.do(ctx, folderWorkers)
}

// Registry migrates the content of the registry at req.From; otherwise it is like [Folder]. A repository that the request
// names in full is migrated whether the catalog of the registry lists it or not.
func Registry(ctx context.Context, store Store, names mirror.Names, client RegistryClient, req Request, p *progress.Reporter, report func(Event)) (Summary, error) {
	if err := checkRequest(req, req.From); err != nil {
		return Summary{}, err
	}
	other := &registry{client: client, store: store, host: mirror.CanonicalHost(req.From), repos: req.Repos}
	r := newRun(store, names, req, other, storeAs{origin: mirror.Pushed, local: true}, p, report)
	other.progress = p
	return r.do(ctx, registryWorkers)
}

// checkRequest returns an error unless the request is valid and has a value in the required field.
func checkRequest(req Request, required string) error {
	if err := req.Check(); err != nil {
		return mirror.Errorf(mirror.CodeUnsupported, "%w", err)
	}
	if required == "" {
		return mirror.Errorf(mirror.CodeUnsupported, "the request names another kind of source")
	}
	return nil
}
