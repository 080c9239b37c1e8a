// Command genstore makes a data folder with many small images; see package generate.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"airmirror/cache/cachetest/generate"
)

func main() {
	var o generate.Options
	flag.IntVar(&o.Images, "images", 1000, "number of images")
	flag.IntVar(&o.Repos, "repos", 0, "number of repositories; default: one for 50 images")
	flag.IntVar(&o.LayerBytes, "layer-bytes", 0, "size of a layer in bytes; default: 100")
	flag.DurationVar(&o.Age, "age", 0, "time between the first image and the last; default: 480h")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: genstore [flags] FOLDER")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := generate.Store(context.Background(), flag.Arg(0), o); err != nil {
		fmt.Fprintln(os.Stderr, "genstore:", err)
		os.Exit(1)
	}
}
