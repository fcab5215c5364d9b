// SPDX-License-Identifier: MIT
// Reads replies with Go's net/http: lines of "METHOD URL" come in; says for each the status and the body in hexadecimal digits, or
// "error" and why.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func read(method, url string) (int, []byte, error) {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return 0, nil, err
	}
	reply, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return 0, nil, err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	return reply.StatusCode, body, err
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		status, body, err := read(words[0], words[1])
		if err != nil {
			fmt.Println("error", err)
		} else {
			fmt.Printf("%d %x\n", status, body)
		}
	}
}
