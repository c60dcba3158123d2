package main

import (
	"fmt"
	"os"
	"strings"
)

// readLabels reads arguments OUTPUT=LABEL,LABEL… and OUTPUT=@FILE.
func readLabels(args []string) (map[string][]string, error) {
	labels := make(map[string][]string, len(args))
	for _, arg := range args {
		output, list, ok := strings.Cut(arg, "=")
		if !ok || output == "" || list == "" {
			return nil, usageError{fmt.Errorf("--labels %s: want OUTPUT=LABEL,LABEL… or OUTPUT=@FILE", arg)}
		}
		if _, twice := labels[output]; twice {
			return nil, usageError{fmt.Errorf("--labels: output %s is named twice", output)}
		}
		file, isFile := strings.CutPrefix(list, "@")
		if !isFile {
			labels[output] = strings.Split(list, ",")
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("labels of %s: %w", output, err)
		}
		for line := range strings.Lines(string(text)) {
			labels[output] = append(labels[output], strings.TrimRight(line, "\r\n"))
		}
	}
	return labels, nil
}
