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

// Platforms have the names of Go (GOOS and GOARCH), as in the image specification. Names that kernels, compilers and
// Debian use are accepted as well, as in containerd. The library github.com/containerd/platforms is not used, because
// it reads linux/arm as linux/arm/v7 only, lets 32-bit images match 64-bit platforms, and depends on a logger.

// PlatformString returns os/arch or os/arch/variant.
func PlatformString(p v1.Platform) string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// Platforms are the platforms that are requested. The zero value means all.
type Platforms []v1.Platform

var platformPattern = regexp.MustCompile(`^[\w.-]+/[\w.-]+(?:/[\w.-]+)?$`)

// ParsePlatforms parses platforms, each os/arch or os/arch/variant. The error for any other text is a [CodeUnsupported].
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

// String joins the platforms for messages.
func (ps Platforms) String() string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = PlatformString(p)
	}
	return strings.Join(texts, " or ")
}

// architectures maps other names of architectures. The variant applies unless the platform has one.
var architectures = map[string]v1.Platform{
	"x86_64": {Architecture: "amd64"}, "x86-64": {Architecture: "amd64"}, "x64": {Architecture: "amd64"},
	"i386": {Architecture: "386"}, "i486": {Architecture: "386"}, "i586": {Architecture: "386"}, "i686": {Architecture: "386"}, "x86": {Architecture: "386"},
	"aarch64": {Architecture: "arm64"}, "armv8": {Architecture: "arm64"}, "armv8l": {Architecture: "arm64"},
	"armhf": {Architecture: "arm", Variant: "v7"}, "armv7": {Architecture: "arm", Variant: "v7"}, "armv7l": {Architecture: "arm", Variant: "v7"},
	"armel": {Architecture: "arm", Variant: "v6"}, "armv6": {Architecture: "arm", Variant: "v6"}, "armv6l": {Architecture: "arm", Variant: "v6"},
	"armv5": {Architecture: "arm", Variant: "v5"}, "armv5tel": {Architecture: "arm", Variant: "v5"},
	"ppc64el": {Architecture: "ppc64le"}, "mips64el": {Architecture: "mips64le"}, "mipsel": {Architecture: "mipsle"}, "loong64el": {Architecture: "loong64"}, "loongarch64": {Architecture: "loong64"},
}

// NormalizePlatform returns a platform with the names of the image specification.
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

// usualVariants maps an architecture to the variant of images that state none, and to the lowest variant.
var usualVariants = map[string]struct {
	usual string
	least int
}{"amd64": {"v1", 1}, "arm64": {"v8", 8}, "arm": {"v7", 5}}

// matches reports whether the platform of an image matches a requested one. os/arch matches all variants.
func matches(requested, image v1.Platform) bool {
	image = NormalizePlatform(image)
	if image.Variant == "" {
		image.Variant = usualVariants[image.Architecture].usual
	}
	return requested.OS == image.OS && requested.Architecture == image.Architecture && (requested.Variant == "" || requested.Variant == image.Variant)
}

// lowerVariants returns the lower variants that a machine of the platform can also run, the highest first: an arm/v7
// machine also runs v6 and v5.
func lowerVariants(requested v1.Platform) (list []v1.Platform) {
	version, err := strconv.Atoi(strings.TrimPrefix(requested.Variant, "v"))
	if err != nil || !strings.HasPrefix(requested.Variant, "v") {
		return nil
	}
	for version--; usualVariants[requested.Architecture].usual != "" && version >= usualVariants[requested.Architecture].least; version-- {
		requested.Variant = "v" + strconv.Itoa(version)
		list = append(list, requested)
	}
	return list
}

// Select reports for each entry of an index whether its platform is requested. If the index lacks a requested variant,
// Select chooses the next lower one, as containerd does. It never selects attestations, whose platform is unknown, nor
// entries without a platform; the caller decides about those.
func (ps Platforms) Select(index []v1.Descriptor) []bool {
	selected := make([]bool, len(index))
	for _, requested := range ps {
		for _, p := range append([]v1.Platform{requested}, lowerVariants(requested)...) {
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

// Accept reports whether an image for platform p runs on a requested platform.
func (ps Platforms) Accept(p v1.Platform) bool {
	return len(ps) == 0 || ps.Select([]v1.Descriptor{{Platform: &p}})[0]
}

// configTypes are the media types of configs that state a platform.
var configTypes = []string{v1.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json"}

// StatesPlatform reports whether a media type is that of a config that states the platform of its image.
func StatesPlatform(mediaType string) bool {
	return slices.Contains(configTypes, strings.ToLower(mediaType))
}

// maxConfig is the maximum number of bytes that are read from a config.
const maxConfig = 8 << 20

// ConfigOf returns the descriptor of the config of an image for one platform. ok is false for any other manifest, such
// as an index, a chart or another artifact.
func ConfigOf(refs References) (config v1.Descriptor, ok bool) {
	if len(refs.Blobs) == 0 || !StatesPlatform(refs.Blobs[0].MediaType) {
		return v1.Descriptor{}, false
	}
	return refs.Blobs[0], true
}

// ConfigPlatform reads the platform of an image from its config, which must be stored. ok is false if the config does
// not state one.
func ConfigPlatform(ctx context.Context, store BlobStore, repo Repo, config v1.Descriptor) (p v1.Platform, ok bool, err error) {
	blob, err := store.Blob(WithoutUsage(ctx), repo, config.Digest)
	if err != nil {
		return p, false, err
	}
	defer blob.Close()
	p, ok = ReadPlatform(blob)
	return p, ok, nil
}

// ReadPlatform reads the platform from a config. ok is false if the config does not state one.
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

// NoPlatform returns the error for an image that has none of the requested platforms.
func NoPlatform(name string, requested Platforms, has []string) error {
	const most = 12
	more := ""
	if len(has) > most {
		has, more = has[:most], " and others"
	}
	return Errorf(CodeManifestUnknown, "%s", strings.TrimSpace(name+" has no platform "+requested.String()+": it is for "+strings.Join(has, ", ")+more))
}
