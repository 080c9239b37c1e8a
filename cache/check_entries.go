package cache

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// rule says what is wrong with an entry of the index, or "". What is true in one transaction is true: the rules that
// schema.go states hold in each.
type rule func(tx backend.ReadTx, k string, value []byte) string

// rules are for the entries that follow from others, in the order in which they are checked: what points at manifests
// comes after them.
var rules = []struct {
	table backend.Table
	rule  rule
}{
	{tableRepos, wrongRepo},
	{tableManifests, wrongManifest},
	{tableTags, wrongTag},
	{tableUses, wrongUse},
	{tableLinks, wrongLink},
	{tableReferrers, wrongReferrer},
	{tableRecency, wrongRecency},
	{tableParents, wrongParent},
	{tableTagged, wrongTagged},
	{tableRoots, wrongRoot},
}

// ruleOf returns the rule of a table, or nil.
func ruleOf(t backend.Table) rule {
	for _, r := range rules {
		if r.table == t {
			return r.rule
		}
	}
	return nil
}

// entries checks the index against itself.
func (c *check) entries() bool {
	for _, r := range rules {
		c.opts.Progress.Doing("table " + string(r.table) + " of the index")
		var found []mirror.Defect
		ok := c.scan(r.table, "", func(tx backend.ReadTx, k string, value []byte) {
			if reason := r.rule(tx, k, value); reason != "" {
				found = append(found, dangling(r.table, k, reason))
			}
			if r.table == tableManifests {
				found = append(found, lost(tx, k, value)...)
			}
		}, func() bool {
			defer func() { found = nil }()
			return !slices.ContainsFunc(found, func(flaw mirror.Defect) bool { return !c.entry(flaw) })
		})
		if !ok {
			return false
		}
	}
	return true
}

// entry yields what was found in the index. A file that it lost the entry of is an orphan, and was yielded as one if it is
// not on its way in.
func (c *check) entry(flaw mirror.Defect) bool {
	if flaw.Kind == mirror.Missing {
		if _, err := c.blobs.Stat(c.ctx, flaw.Digest); err == nil {
			return true
		}
	}
	return c.flaw(flaw)
}

func dangling(t backend.Table, k, reason string) mirror.Defect {
	return mirror.Defect{Kind: mirror.Dangling, Entry: string(t) + " " + strings.ReplaceAll(k, "\x00", " "), Reason: reason}
}

// entryOf is the opposite of dangling.
func entryOf(entry string) (backend.Table, string) {
	t, k, _ := strings.Cut(entry, " ")
	return backend.Table(t), strings.ReplaceAll(k, " ", "\x00")
}

// malformed says whether a key does not have n parts.
func malformed(k string, n int) string {
	if strings.Count(k, "\x00") != n-1 {
		return "its key is malformed"
	}
	return ""
}

func wrongRepo(_ backend.ReadTx, k string, value []byte) string {
	_, err := mirror.ParseRepo(k)
	if err == nil {
		_, err = decode[repoRecord](tableRepos, k, value)
	}
	if err != nil {
		return fmt.Sprintf("it cannot be read: %v; make a new index from the files and the last backup", err)
	}
	return ""
}

// wrongManifest finds records that what follows from them is missing of.
func wrongManifest(tx backend.ReadTx, k string, value []byte) string {
	if reason := malformed(k, 2); reason != "" {
		return reason
	}
	record, err := decode[manifestRecord](tableManifests, k, value)
	if err != nil || strength(record.Origin) == 0 {
		return "the record of the manifest cannot be read"
	}
	repo, d := parts(k)[0], parts(k)[1]
	if !has(tx, tableRepos, repo) {
		return "there is no record of its repository"
	}
	if !has(tx, tableUses, key(d, repo, d)) {
		return "nothing says that it needs its own file"
	}
	for _, blob := range record.linked() {
		if !has(tx, tableLinks, key(blob.String(), repo)) {
			return fmt.Sprintf("nothing says that its repository has to do with blob %s", blob)
		}
	}
	for named := range record.named() {
		if !has(tx, tableUses, key(named.String(), repo, d)) {
			return fmt.Sprintf("nothing says that it uses %s", named)
		}
	}
	for _, child := range record.manifests() {
		if !has(tx, tableParents, key(child.String(), repo, d)) {
			return fmt.Sprintf("nothing says that it names %s", child)
		}
	}
	if record.Subject != "" && !has(tx, tableReferrers, key(repo, record.Subject.String(), d)) {
		return fmt.Sprintf("it is not among the referrers of %s", record.Subject)
	}
	return ""
}

// lost are the files of a manifest that were stored and are not any more: its own and, of one that did not come from an
// upstream, the blobs that it needs and what else it owns that its repository could read.
func lost(tx backend.ReadTx, k string, value []byte) (flaws []mirror.Defect) {
	record, err := decode[manifestRecord](tableManifests, k, value)
	if err != nil || malformed(k, 2) != "" {
		return nil
	}
	repo, d := parts(k)[0], parts(k)[1]
	add := func(file digest.Digest, size int64, reason string) {
		if has(tx, tableBlobs, file.String()) {
			return
		}
		flaw := mirror.Defect{Kind: mirror.Missing, Digest: file, Size: size, Reason: reason}
		if flaw.Repos, flaw.Manifest = users(tx, file); len(flaw.Repos) == 0 {
			flaw.Repos, flaw.Manifest = []string{repo}, file.String() == d
		}
		flaws = append(flaws, flaw)
	}
	add(digest.Digest(d), record.Size, "the file of a manifest is lost")
	if record.Origin == mirror.Mirrored {
		return flaws
	}
	for _, blob := range record.Blobs {
		use, _, _ := get[useRecord](tx, tableUses, key(blob.String(), repo, d)) // if it cannot be read, that is a flaw of its own
		add(blob, use.Size, fmt.Sprintf("%s@%s was %s and needs it, but it is lost", repo, d, record.Origin))
	}
	for _, blob := range record.Owned {
		if link, found, err := get[linkRecord](tx, tableLinks, key(blob.String(), repo)); err != nil || !found || link.Announced {
			continue // it may never have been here
		}
		use, _, _ := get[useRecord](tx, tableUses, key(blob.String(), repo, d))
		add(blob, max(0, use.Size), fmt.Sprintf("%s@%s was %s and names it, but it is lost", repo, d, record.Origin))
	}
	return flaws
}

func wrongTag(tx backend.ReadTx, k string, value []byte) string {
	if reason := malformed(k, 2); reason != "" {
		return reason
	}
	record, err := decode[tagRecord](tableTags, k, value)
	if err != nil {
		return "it cannot be read"
	}
	if !has(tx, tableManifests, key(parts(k)[0], record.Digest.String())) {
		return fmt.Sprintf("the tag points at manifest %s, which its repository does not have", record.Digest)
	}
	if !has(tx, tableTagged, key(parts(k)[0], record.Digest.String(), parts(k)[1])) {
		return "nothing says of its manifest that it has this tag"
	}
	return ""
}

// wrongUse looks for the digest in the record of the manifest without decoding that: there are many uses, and they are
// not in the order of the manifests.
func wrongUse(tx backend.ReadTx, k string, value []byte) string {
	if reason := malformed(k, 3); reason != "" {
		return reason
	}
	if _, err := decode[useRecord](tableUses, k, value); err != nil {
		return "it cannot be read"
	}
	file, repo, d := parts(k)[0], parts(k)[1], parts(k)[2]
	record := tx.Get(tableManifests, key(repo, d))
	if record == nil {
		return "it is about a manifest that its repository does not have"
	}
	if file != d && !bytes.Contains(record, []byte(`"`+file+`"`)) {
		return "the manifest does not name this blob"
	}
	return ""
}

func wrongLink(tx backend.ReadTx, k string, _ []byte) string {
	if reason := malformed(k, 2); reason != "" {
		return reason
	}
	if d := parts(k)[0]; has(tx, tableBlobs, d) || usedIn(tx, parts(k)[1], d) {
		return ""
	}
	return "it is about a blob that is not held and that no manifest of the repository needs"
}

// usedIn reports whether a manifest of repo needs d, or is d.
func usedIn(tx backend.ReadTx, repo, d string) bool {
	for range tx.Scan(tableUses, prefix(d, repo), "") {
		return true
	}
	return false
}

func wrongReferrer(tx backend.ReadTx, k string, value []byte) string {
	if reason := malformed(k, 3); reason != "" {
		return reason
	}
	if _, err := decode[v1.Descriptor](tableReferrers, k, value); err != nil {
		return "it cannot be read"
	}
	repo, subject, d := parts(k)[0], parts(k)[1], parts(k)[2]
	record, found, err := get[manifestRecord](tx, tableManifests, key(repo, d))
	if err == nil && (!found || record.Subject.String() != subject) {
		return "there is no such manifest, or it does not refer to that"
	}
	return ""
}

func wrongParent(tx backend.ReadTx, k string, _ []byte) string {
	if reason := malformed(k, 3); reason != "" {
		return reason
	}
	child, repo, index := parts(k)[0], parts(k)[1], parts(k)[2]
	if !bytes.Contains(tx.Get(tableManifests, key(repo, index)), []byte(`"`+child+`"`)) {
		return "there is no such manifest, or it does not name this child"
	}
	return ""
}

func wrongTagged(tx backend.ReadTx, k string, _ []byte) string {
	if reason := malformed(k, 3); reason != "" {
		return reason
	}
	repo, d, tag := parts(k)[0], parts(k)[1], parts(k)[2]
	record, found, err := get[tagRecord](tx, tableTags, key(repo, tag))
	if err == nil && (!found || record.Digest.String() != d) {
		return "there is no such tag, or it does not point at this manifest"
	}
	return ""
}

func wrongRecency(tx backend.ReadTx, k string, _ []byte) string {
	if reason := malformed(k, 2); reason != "" {
		return reason
	}
	if !has(tx, tableManifests, k) && !has(tx, tableLinks, key(parts(k)[1], parts(k)[0])) {
		return "it is about something that its repository does not have"
	}
	return ""
}
