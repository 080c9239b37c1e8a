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

// Mirror is what a [Service] needs of a mirror. A [proxy.Proxy] implements it.
type Mirror interface {
	// Names returns how image names are resolved.
	Names() mirror.Names
	// ContentStored reports stored content to the mirror, which resolves the wants for it.
	ContentStored(repo mirror.Repo, d digest.Digest, tags ...string)
	// ResolveWants resolves all other wants that can be served now, such as those for blobs of an imported manifest.
	ResolveWants(ctx context.Context)
	// DiscardDamaged quarantines the content that an error reports as damaged or missing. It returns whether the error
	// was such a report.
	DiscardDamaged(err error) bool
	// RecoverDamaged does the same and fetches the content again. It returns nil on success, and otherwise err.
	RecoverDamaged(ctx context.Context, err error) error
}

// Store is what a [Service] needs of a store.
type Store interface {
	mirror.BlobStore
	mirror.ManifestStore
	mirror.Catalog
	mirror.StateStore
	mirror.ImportStore
	mirror.CollectStore
}

// Verifier verifies signatures with the keys that it trusts.
type Verifier interface {
	// Verify returns the ID of the key that made signature of document. The error says why no trusted key made it.
	Verify(document, signature []byte) (keyID string, err error)
}

// Options configure a [Service]. The zero value works.
type Options struct {
	// Host is the name of the machine. Bundles record it, so that operators can see where a bundle was made.
	Host string
	// Tool is the program and its version.
	Tool string
	// Verifier returns a Verifier that trusts the public keys of the request and those of the configuration, or nil if
	// there are none. If it is nil, no key is trusted.
	Verifier func(keys []string) (Verifier, error)
	// Destination is the name of this mirror as a destination (--to). Bundles for other destinations are rejected. If
	// it is empty, bundles for any destination are accepted.
	Destination string
	// Signed rejects everything that is not signed by a trusted key.
	Signed bool
	// IgnoreNondistributable exports images whose nondistributable layers are not stored, and omits these layers.
	IgnoreNondistributable bool
	// SharedStore means that other nodes use the store, too, and may be importing into it.
	SharedStore bool
	// Limits restrict what is read from bundles.
	Limits bundle.Limits
	Log    *zap.Logger
}

// Service exports and imports bundles. It is safe for concurrent use.
type Service struct {
	mirror Mirror
	store  Store
	opts   Options
	log    *zap.Logger

	numbering sync.Mutex // protects the states of exported and imported bundles, and identity
	identity  string     // empty until it is needed
	pending   pendingImports
}

// New returns a Service for the mirror m and its store s.
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

// Identity returns the random name of the mirror, which is generated on first use. Bundles and receipts contain it.
func (svc *Service) Identity(ctx context.Context) (string, error) {
	svc.numbering.Lock()
	defer svc.numbering.Unlock()
	return svc.identify(ctx)
}

// identify is Identity for callers that hold svc.numbering.
func (svc *Service) identify(ctx context.Context) (string, error) {
	if svc.identity != "" {
		return svc.identity, nil
	}
	states, err := svc.store.State(ctx, identityStates)
	if err != nil {
		return "", fmt.Errorf("read the identity of this mirror: %w", err)
	}
	identity := string(states[identityKey])
	if identity == "" {
		err := svc.store.ChangeState(ctx, identityStates, func(states map[string][]byte) (map[string][]byte, error) {
			if identity = string(states[identityKey]); identity != "" {
				return nil, nil // another node was first
			}
			identity = strings.ToLower(rand.Text())
			return map[string][]byte{identityKey: []byte(identity)}, nil
		})
		if err != nil {
			return "", fmt.Errorf("record the identity of this mirror: %w", err)
		}
	}
	svc.identity = identity
	return identity, nil
}
