package transfer

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// Mirror is what transfers need of a mirror. Package mirror/proxy implements it.
type Mirror interface {
	// Names says how names of images are read.
	Names() mirror.Names
	// ContentStored is told what was stored, and strikes off wants.
	ContentStored(repo mirror.Repo, d digest.Digest, tags ...string)
	// ResolveWants strikes off what else can be given now: blobs that came with a manifest.
	ResolveWants(ctx context.Context)
	// DiscardDamaged takes away what an error found damaged or missing, and reports whether it was about that.
	DiscardDamaged(err error) bool
	// RecoverDamaged takes it away, too, and returns nil if it could be fetched again; else it returns the error.
	RecoverDamaged(ctx context.Context, err error) error
}

// Store is what transfers need of a store.
type Store interface {
	mirror.BlobStore
	mirror.ManifestStore
	mirror.Catalog
	mirror.StateStore
	mirror.ImportStore
	mirror.CollectStore
}

// Verifier checks signatures against the keys that it knows.
type Verifier interface {
	// Verify returns the ID of the key that signature of document was made with. An error says why it is none of those
	// that are trusted.
	Verify(document, signature []byte) (keyID string, err error)
}

// Options change how a [Service] works; the zero value works.
type Options struct {
	// Host is the name of the machine, for people who read where a bundle comes from.
	Host string
	// Tool is the program and its version.
	Tool string
	// Verifier reads public keys that a request names and returns what checks signatures with them and those that the
	// configuration trusts; a nil Verifier if that is none. Nil trusts none.
	Verifier func(keys []string) (Verifier, error)
	// Destination is the name that bundles for this mirror are made for (--to); those for another one are refused. Without a
	// name, it takes those for any.
	Destination string
	// Signed refuses whatever is not signed with a key that is trusted.
	Signed bool
	// IgnoreNondistributable exports images without their nondistributable layers where those are not stored.
	IgnoreNondistributable bool
	// Limits bound what is read of bundles.
	Limits bundle.Limits
	Log    *zap.Logger
}

// Service takes content out of a mirror and brings it in. All of it may be used concurrently.
type Service struct {
	mirror Mirror
	store  Store
	opts   Options
	log    *zap.Logger

	numbering sync.Mutex // of what is noted about bundles that are made, sent and imported
	identity  string     // "" until it is needed
	pending   pendingImports
}

// New returns a carrier for a mirror and the store under it.
func New(m Mirror, s Store, opts Options) *Service {
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	return &Service{mirror: m, store: s, opts: opts, log: opts.Log}
}

const (
	identityStates = "transfer"
	identityKey    = "identity"
)

// Identity returns the random name that the mirror gave itself when it first needed one. It is in what it sends and in
// its receipts.
func (svc *Service) Identity(ctx context.Context) (string, error) {
	svc.numbering.Lock()
	defer svc.numbering.Unlock()
	return svc.identify(ctx)
}

// identify is for who has c.numbering.
func (svc *Service) identify(ctx context.Context) (string, error) {
	if svc.identity != "" {
		return svc.identity, nil
	}
	notes, err := svc.store.State(ctx, identityStates)
	if err != nil {
		return "", fmt.Errorf("read this mirror's identity: %w", err)
	}
	identity := string(notes[identityKey])
	if identity == "" {
		identity = strings.ToLower(rand.Text())
		if err := svc.store.SetState(ctx, identityStates, map[string][]byte{identityKey: []byte(identity)}); err != nil {
			return "", fmt.Errorf("note this mirror's identity: %w", err)
		}
	}
	svc.identity = identity
	return identity, nil
}
