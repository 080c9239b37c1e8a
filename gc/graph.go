package gc

import (
	"iter"
	"time"

	"airmirror/mirror"
)

// graph is a survey in memory. Repositories, manifests, tags and files refer to one another by index instead of by
// name.
type graph struct {
	repos      []mirror.Repo
	names      []string // as [mirror.Repo.String] writes them
	emptyRepos []int32  // repositories without a manifest that may be forgotten because they are not local
	blobs      *blobs
	nodes      list[node]
	tags       list[tag]
	files      list[int32] // indexes into blobs; the files of one node are consecutive

	pairs list[edge] // from owner to dependent; dependents and owners are made from it
	// dependents leads from a manifest to the manifests that are deleted with it: the children of an index and the
	// referrers of a subject. owners is the reverse.
	dependents, owners edges
	tagsOf             edges   // from a node to its tags
	stack              []int32 // of walk, for reuse
}

// node is a manifest in a repository. Times are in nanoseconds of Unix time; zero is an unknown time.
type node struct {
	digest    packed
	repo      int32
	firstFile int32 // index in files of its own file, which its blobs follow; they end where those of the next node begin
	added     int64
	ownUse    int64 // the latest time at which it was added, made a root or read
	lastUse   int64 // the latest ownUse of it and its dependents, and the latest change of one of their tags
	image     int32 // the last image that needs it
	origin    origin
	flags     nodeFlags
}

// tag is a tag in a repository.
type tag struct {
	name     string
	node     int32
	updated  int64
	origin   origin
	pinned   bool
	referrer bool // its name says that the manifest refers to another stored manifest; see [mirror.SubjectOfTag]
	deleted  bool // by a retention rule or a removal
	inGrace  bool // only the grace period keeps it from being deleted
}

// origin is a [mirror.Origin] in a byte.
type origin uint8

const (
	mirrored origin = iota
	imported
	pushed
)

func originOf(o mirror.Origin) origin {
	switch o {
	case mirror.Mirrored:
		return mirrored
	case mirror.Imported:
		return imported
	}
	return pushed
}

// nodeFlags are properties of a node. Those that say "or a dependent" are set by [graph.propagate].
type nodeFlags uint16

const (
	pinned      nodeFlags = 1 << iota // the manifest or one of its tags is pinned
	selected                          // [Policy.Evict] matches the manifest, one of its tags or one of its owners
	dependent                         // it is a child of a stored index or refers to a stored subject
	inImage                           // an image contains it
	inUse                             // a transfer uses it or a dependent
	notMirrored                       // it, a dependent or one of their tags did not come from an upstream
	unselected                        // it, a dependent or one of their tags did not come from an upstream and is not selected
	toRemove                          // a [Removal] names it or one of its tags
	isRoot                            // it was stored by its digest and needs no tag
)

// filesOf yields the indexes of the files of a node: its own and those of its blobs. Blobs that are not stored are
// left out.
func (g *graph) filesOf(index int32) iter.Seq[int32] {
	end := int32(g.files.n)
	if int(index)+1 < g.nodes.n {
		end = g.nodes.at(index + 1).firstFile
	}
	return func(yield func(int32) bool) {
		for i := g.nodes.at(index).firstFile; i < end; i++ {
			if !yield(*g.files.at(i)) {
				return
			}
		}
	}
}

// nanos returns t in nanoseconds of Unix time, and 0 for the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// timeOf is the inverse of nanos.
func timeOf(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}
