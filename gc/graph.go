package gc

import (
	"context"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// graph is a survey in memory: places take the place of names.
type graph struct {
	repos      []mirror.Repo
	names      []string // as [mirror.Repo.String] writes them
	emptyRepos []int32  // those without a manifest that need not be remembered, because they are not local
	blobs      *blobs
	nodes      list[node]
	tags       list[tag]
	files      list[int32] // places of stored files that nodes name, those of one node together

	pairs list[edge] // of which brings and needed are made
	// brings leads from a node to those that come and go with it: the manifests that it names, and what refers to it.
	// needed is the way back.
	dependents, owners edges
	tagsOf             edges // from a node to its tags
	stack              []int32
}

// node is a manifest in a repository. Times are in nanoseconds of Unix time.
type node struct {
	digest    packed
	repo      int32
	firstFile int32 // where its blobs begin, its own file first; they end where those of the next node begin
	added     int64
	ownUse    int64 // when it was added, made a root or read last
	lastUse   int64 // the latest own of it and all that it brings, and the latest change of a tag of them
	image     int32 // place of the last unit that needs it
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
	referrer bool // it says by its name that it belongs to another manifest that is held, see [subjectOf]
	deleted  bool // by a rule
	inGrace  bool // it is not dropped for nothing but the grace time
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

// state is what is known of a node; see spread for what holds for a node because of what it brings.
type nodeFlags uint16

const (
	pinned      nodeFlags = 1 << iota // it, or a tag of it
	selected                          // by name, so that it may go whatever its origin; so is all that it brings
	dependent                         // it is a child, or refers to something that is held
	inImage                           // by a unit
	inUse                             // by a transfer: it or what it brings
	notMirrored                       // it or what it brings, or a tag of these, did not come from an upstream
	unselected                        // of these there is one that was not asked for by name
	toRemove                          // it is to be removed, or a tag of it
	isRoot                            // somebody brought it in by its digest: it needs no tag
)

// loadGraph reads a survey. Tags that are to be removed tie no manifest to another one.
func loadGraph(ctx context.Context, s mirror.Survey, cutoff time.Time, removal *selection, flaws *errorList) (*graph, error) {
	g := &graph{}
	for _, r := range s.Repos() {
		g.repos = append(g.repos, r.Repo)
		g.names = append(g.names, r.Repo.String())
	}
	var err error
	if g.blobs, err = loadBlobs(ctx, s, cutoff, flaws); err != nil {
		return nil, err
	}
	l := loader{graph: g, survey: s, removal: removal, errs: flaws}
	if err := l.loadManifests(ctx); err != nil {
		return nil, err
	}
	if err := l.loadTags(ctx); err != nil {
		return nil, err
	}
	for repo, surveyed := range s.Repos() {
		if l.starts[repo] == l.starts[repo+1] && surveyed.Origin != mirror.Pushed {
			g.emptyRepos = append(g.emptyRepos, int32(repo))
		}
	}
	g.dependents = newEdges(g.nodes.n, l.pairs.values())
	g.owners = newEdges(g.nodes.n, reversed(l.pairs.values()))
	g.tagsOf = newEdges(g.nodes.n, func(yield func(edge) bool) {
		for place, tag := range g.tags.all() {
			if !yield(edge{tag.node, place}) {
				return
			}
		}
	})
	g.pairs = list[edge]{}
	return g, nil
}

func (l *list[T]) values() iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, v := range l.all() {
			if !yield(*v) {
				return
			}
		}
	}
}

func reversed(pairs iter.Seq[edge]) iter.Seq[edge] {
	return func(yield func(edge) bool) {
		for pair := range pairs {
			if !yield(edge{pair.to, pair.from}) {
				return
			}
		}
	}
}

// filesOf yields the places of the blobs of a node, its own file among them.
func (g *graph) filesOf(place int32) iter.Seq[int32] {
	end := int32(g.files.n)
	if int(place)+1 < g.nodes.n {
		end = g.nodes.at(place + 1).firstFile
	}
	return func(yield func(int32) bool) {
		for i := g.nodes.at(place).firstFile; i < end; i++ {
			if !yield(*g.files.at(i)) {
				return
			}
		}
	}
}

// loading reads manifests and tags into a graph.
type loader struct {
	*graph
	survey  mirror.Survey
	removal *selection
	errs    *errorList
	starts  []int32      // where the nodes of each repository begin
	refs    []pendingRef // from those of the repository that is being read
}

// ref is a reference from a node to a manifest that may come later, or not at all.
type pendingRef struct {
	from    int32
	to      packed
	subject bool // or a child
}

func (l *loader) loadManifests(ctx context.Context) error {
	for m, err := range l.survey.Manifests() {
		if l.errs.add(err) {
			continue
		}
		if l.nodes.n%chunkSize == 0 && ctx.Err() != nil {
			break
		}
		l.endRepos(m.Repo)
		l.addManifest(m)
	}
	l.endRepos(len(l.repos))
	return ctx.Err()
}

// reach ends the repositories before one.
func (l *loader) endRepos(repo int) {
	for len(l.starts) <= repo {
		l.resolve()
		l.starts = append(l.starts, int32(l.nodes.n))
	}
}

func (l *loader) addManifest(m *mirror.SurveyedManifest) {
	place := int32(l.nodes.n)
	n := node{
		digest: pack(m.Digest), repo: int32(m.Repo), firstFile: int32(l.files.n),
		added: nanos(m.Added), ownUse: max(nanos(m.Added), nanos(m.Used), nanos(m.Root)), image: noImage, origin: originOf(m.Origin),
	}
	n.lastUse = n.ownUse
	repo := l.repos[m.Repo]
	if l.survey.Pinned(mirror.Ref{Repo: repo, Digest: m.Digest}) {
		n.flags |= pinned
	}
	if !m.Root.IsZero() {
		n.flags |= isRoot
	}
	if l.survey.Protected(m.Digest) {
		n.flags |= inUse
	}
	l.nodes.add(n)
	l.addFile(m.Digest)
	for _, d := range m.Blobs {
		l.addFile(d)
	}
	for _, list := range [...][]digest.Digest{m.Children, m.Owned} { // manifests or blobs, whatever their media types say
		for _, d := range list {
			l.addFile(d)
			l.refs = append(l.refs, pendingRef{place, pack(d), false})
		}
	}
	if m.Subject != "" {
		l.refs = append(l.refs, pendingRef{place, pack(m.Subject), true})
	}
}

func (l *loader) addFile(d digest.Digest) {
	if place := l.blobs.find(d); place >= 0 {
		l.files.add(place)
	}
}

// resolve makes edges of the references of a repository of which all nodes are there.
func (l *loader) resolve() {
	for _, r := range l.refs {
		if to := l.find(len(l.starts)-1, r.to); to >= 0 {
			l.addEdge(r.from, to, r.subject)
		}
	}
	l.refs = l.refs[:0]
}

// bring notes that a node refers to another one, as to its subject or its child.
func (l *loader) addEdge(from, to int32, subject bool) {
	if from == to {
		return
	}
	if subject {
		from, to = to, from
	}
	l.pairs.add(edge{from, to})
	l.nodes.at(to).flags |= dependent
}

// find returns the place of a manifest in a repository, or -1 if it is not there.
func (l *loader) find(repo int, d packed) int32 {
	from, to := l.starts[repo], int32(l.nodes.n)
	if repo+1 < len(l.starts) {
		to = l.starts[repo+1]
	}
	for from < to {
		middle := (from + to) / 2
		if l.nodes.at(middle).digest.before(d) {
			from = middle + 1
		} else {
			to = middle
		}
	}
	if int(from) < l.nodes.n && int(l.nodes.at(from).repo) == repo && l.nodes.at(from).digest == d {
		return from
	}
	return -1
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// moment is the opposite of nanos.
func timeOf(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}
