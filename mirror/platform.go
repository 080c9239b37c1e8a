package mirror

import (
	"context"
	"encoding/json"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// The names of platforms are those of Go, as in the image specification. The names that kernels, compilers and Debian have
// are understood as well, as containerd does. Its library for that, github.com/containerd/platforms, is not used: it reads
// linux/arm as linux/arm/v7 alone, matches 32-bit images with what asks for 64-bit ones, and brings a logger with it.

// PlatformString writes a platform as os/arch or os/arch/variant.
func PlatformString(p v1.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// Platforms are some that somebody asks for. The zero value asks for all.
type Platforms []v1.Platform

var platformPattern = regexp.MustCompile(`^[\w.-]+/[\w.-]+(?:/[\w.-]+)?$`)

// ParsePlatforms reads platforms that are written as os/arch or os/arch/variant. [CodeUnsupported] for anything else.
func ParsePlatforms(texts []string) (Platforms, error) {
	platforms := make(Platforms, len(texts))
	for i, text := range texts {
		if !platformPattern.MatchString(text) {
			return nil, Errorf(CodeUnsupported, "%s is not a platform: write os/arch or os/arch/variant, as linux/amd64", quote(text))
		}
		parts := append(strings.Split(text, "/"), "")
		platforms[i] = NormalizePlatform(v1.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]})
	}
	return platforms, nil
}

// String joins the platforms for a message.
func (ps Platforms) String() string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = PlatformString(p)
	}
	return strings.Join(texts, " or ")
}

// architectures are other names of architectures. A variant is that of the name, unless another one stands beside it.
var architectures = map[string]v1.Platform{
	"x86_64": {Architecture: "amd64"}, "x86-64": {Architecture: "amd64"}, "x64": {Architecture: "amd64"},
	"i386": {Architecture: "386"}, "i486": {Architecture: "386"}, "i586": {Architecture: "386"}, "i686": {Architecture: "386"}, "x86": {Architecture: "386"},
	"aarch64": {Architecture: "arm64"}, "armv8": {Architecture: "arm64"}, "armv8l": {Architecture: "arm64"},
	"armhf": {Architecture: "arm", Variant: "v7"}, "armv7": {Architecture: "arm", Variant: "v7"}, "armv7l": {Architecture: "arm", Variant: "v7"},
	"armel": {Architecture: "arm", Variant: "v6"}, "armv6": {Architecture: "arm", Variant: "v6"}, "armv6l": {Architecture: "arm", Variant: "v6"},
	"armv5": {Architecture: "arm", Variant: "v5"}, "armv5tel": {Architecture: "arm", Variant: "v5"},
	"ppc64el": {Architecture: "ppc64le"}, "mips64el": {Architecture: "mips64le"}, "mipsel": {Architecture: "mipsle"}, "loong64el": {Architecture: "loong64"}, "loongarch64": {Architecture: "loong64"},
}

// NormalizePlatform writes a platform in the names of the specification.
func NormalizePlatform(p v1.Platform) v1.Platform {
	p.OS, p.Architecture, p.Variant = strings.ToLower(p.OS), strings.ToLower(p.Architecture), strings.ToLower(p.Variant)
	if p.OS == "macos" {
		p.OS = "darwin"
	}
	if other, ok := architectures[p.Architecture]; ok {
		p.Architecture = other.Architecture
		if p.Variant == "" {
			p.Variant = other.Variant
		}
	}
	if _, err := strconv.Atoi(p.Variant); err == nil {
		p.Variant = "v" + p.Variant
	}
	return p
}

// usualVariants are what an image is for that does not say which variant of these, and the least that there is.
var usualVariants = map[string]struct {
	usual string
	least int
}{"amd64": {"v1", 1}, "arm64": {"v8", 8}, "arm": {"v7", 5}}

// matches reports whether an image's platform is what is asked for; os/arch asks for all its variants.
func matches(asked, of v1.Platform) bool {
	of = NormalizePlatform(of)
	if of.Variant == "" {
		of.Variant = usualVariants[of.Architecture].usual
	}
	return asked.OS == of.OS && asked.Architecture == of.Architecture && (asked.Variant == "" || asked.Variant == of.Variant)
}

// lowerVariants returns the platforms that run what is asked for as well, the best one first: an arm/v7 machine runs v6 and v5.
func lowerVariants(asked v1.Platform) (list []v1.Platform) {
	version, err := strconv.Atoi(strings.TrimPrefix(asked.Variant, "v"))
	if err != nil || !strings.HasPrefix(asked.Variant, "v") {
		return nil
	}
	for version--; usualVariants[asked.Architecture].usual != "" && version >= usualVariants[asked.Architecture].least; version-- {
		asked.Variant = "v" + strconv.Itoa(version)
		list = append(list, asked)
	}
	return list
}

// Select reports which platforms of an index are asked for. If there is none of a variant, it is the next lower one that
// there is, as containerd chooses. Attestations of a build, whose platform is unknown, and entries without a platform are
// never selected: they are their caller's to decide about.
func (ps Platforms) Select(index []v1.Descriptor) []bool {
	selected := make([]bool, len(index))
	for _, asked := range ps {
		for _, p := range append([]v1.Platform{asked}, lowerVariants(asked)...) {
			found := false
			for i, desc := range index {
				if desc.Platform != nil && matches(p, *desc.Platform) {
					selected[i], found = true, true
				}
			}
			if found {
				break
			}
		}
	}
	return selected
}

// Accept reports whether an image for a platform runs on one of those that are asked for.
func (ps Platforms) Accept(p v1.Platform) bool {
	return len(ps) == 0 || ps.Select([]v1.Descriptor{{Platform: &p}})[0]
}

// configTypes are the media types of configs that say what platform their image is for.
var configTypes = []string{v1.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json"}

// maxConfig is how large a config may be to be read.
const maxConfig = 8 << 20

// ConfigOf returns the descriptor of the config of an image for one platform; ok is false for all other manifests, which
// are for any platform: indexes, charts and other artifacts.
func ConfigOf(refs References) (config v1.Descriptor, ok bool) {
	if len(refs.Blobs) == 0 || !slices.Contains(configTypes, strings.ToLower(refs.Blobs[0].MediaType)) {
		return v1.Descriptor{}, false
	}
	return refs.Blobs[0], true
}

// ConfigPlatform reads the platform that an image is for from its config, which must be stored. ok is false if the config
// does not say it.
func ConfigPlatform(ctx context.Context, store BlobStore, repo Repo, config v1.Descriptor) (p v1.Platform, ok bool, err error) {
	blob, err := store.Blob(WithoutUsage(ctx), repo, config.Digest)
	if err != nil {
		return p, false, err
	}
	defer blob.Close()
	p, ok = ReadPlatform(blob)
	return p, ok, nil
}

// ReadPlatform reads the platform that a config says; ok is false if it does not say one.
func ReadPlatform(config io.Reader) (p v1.Platform, ok bool) {
	var about struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
	}
	if json.NewDecoder(io.LimitReader(config, maxConfig)).Decode(&about) != nil {
		return p, false
	}
	p = v1.Platform{OS: about.OS, Architecture: about.Architecture, Variant: about.Variant}
	return p, p.OS != "" && p.Architecture != ""
}

// NoPlatform is the error about an image that is for none of the platforms that are asked for.
func NoPlatform(name string, asked Platforms, has []string) error {
	const most = 12
	more := ""
	if len(has) > most {
		has, more = has[:most], " and others"
	}
	return Errorf(CodeManifestUnknown, "%s", strings.TrimSpace(name+" has no platform "+asked.String()+": it is for "+strings.Join(has, ", ")+more))
}
