package gc

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// loadGraph reads a survey. Unreadable records are left out and added to errs. A tag that removal names makes its
// manifest no referrer.
func loadGraph(ctx context.Context, s mirror.Survey, cutoff time.Time, removal *selection, errs *errorList) (*graph, error) {
	g := &graph{}
	for _, r := range s.Repos() {
		g.repos = append(g.repos, r.Repo)
		g.names = append(g.names, r.Repo.String())
	}
	var err error
	if g.blobs, err = loadBlobs(ctx, s, cutoff, errs); err != nil {
		return nil, err
	}
	l := loader{graph: g, survey: s, removal: removal, errs: errs}
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
		for index, tag := range g.tags.all() {
			if !yield(edge{tag.node, index}) {
				return
			}
		}
	})
	g.pairs = list[edge]{}
	return g, nil
}

// loader reads manifests and tags into a graph.
type loader struct {
	*graph
	survey  mirror.Survey
	removal *selection
	errs    *errorList
	starts  []int32      // the first node of each repository
	refs    []pendingRef // references from the nodes of the repository that is being read
}

// pendingRef is a reference to a manifest whose node need not exist yet. The manifest may also not be stored.
type pendingRef struct {
	from    int32
	to      packed
	subject bool // the reference is to the subject, not to a child
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

// endRepos completes all repositories before repo.
func (l *loader) endRepos(repo int) {
	for len(l.starts) <= repo {
		l.resolve()
		l.starts = append(l.starts, int32(l.nodes.n))
	}
}

func (l *loader) addManifest(m *mirror.SurveyedManifest) {
	index := int32(l.nodes.n)
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
			l.refs = append(l.refs, pendingRef{index, pack(d), false})
		}
	}
	if m.Subject != "" {
		l.refs = append(l.refs, pendingRef{index, pack(m.Subject), true})
	}
}

// addFile adds a file to the last node if it is stored.
func (l *loader) addFile(d digest.Digest) {
	if index := l.blobs.find(d); index >= 0 {
		l.files.add(index)
		l.blobs.at(index).users--
	}
}

// resolve turns the references of a repository into edges. All nodes of the repository exist.
func (l *loader) resolve() {
	for _, r := range l.refs {
		if to := l.find(len(l.starts)-1, r.to); to >= 0 {
			l.addEdge(r.from, to, r.subject)
		}
	}
	l.refs = l.refs[:0]
}

// addEdge records that node from refers to node to, as its subject or as its child.
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

// find returns the node of a manifest in a repository, or -1 if it is not stored there.
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

// loadTags reads all tags of a survey. A tag whose manifest is not stored is left out.
func (l *loader) loadTags(ctx context.Context) error {
	for t, err := range l.survey.Tags() {
		if l.errs.add(err) {
			continue
		}
		if l.tags.n%chunkSize == 0 && ctx.Err() != nil {
			break
		}
		if index := l.find(t.Repo, pack(t.Digest)); index >= 0 {
			l.addTag(t, index)
		}
	}
	return ctx.Err()
}

func (l *loader) addTag(t mirror.SurveyedTag, index int32) {
	repo, n := l.repos[t.Repo], l.nodes.at(index)
	found := tag{name: strings.Clone(t.Name), node: index, updated: nanos(t.Updated), origin: originOf(t.Origin)}
	if l.survey.Pinned(mirror.Ref{Repo: repo, Tag: found.name}) {
		found.pinned = true
		n.flags |= pinned
	}
	n.lastUse = max(n.lastUse, found.updated)
	if d := mirror.SubjectOfTag(found.name); d != "" && !l.removal.has(repo, found.name) {
		if subject := l.find(t.Repo, pack(d)); subject >= 0 && subject != index {
			found.referrer = true
			l.addEdge(index, subject, true)
		}
	}
	l.tags.add(found)
}

// errorList counts errors and keeps the first few. Planning goes on after an unreadable record: the store itself
// checks everything that needs what it is asked to delete.
type errorList struct {
	n     int
	first []error
}

// add adds an error unless it is nil, and reports whether it did.
func (l *errorList) add(err error) bool {
	const maxErrors = 8
	if err == nil {
		return false
	}
	if l.n++; l.n <= maxErrors {
		l.first = append(l.first, err)
	}
	return true
}

// err joins the first errors; nil if there are none.
func (l *errorList) err() error { return errors.Join(l.first...) }
