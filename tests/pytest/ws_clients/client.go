// SPDX-License-Identifier: MIT
// Gorilla's WebSocket: echoes of each size and kind, with and without compression, a ping, a close. client URL; exits 0 if all is right.
package main

import (
	"bytes"
	"log"
	"math/rand"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

func run(url string, compress bool) {
	dialer := websocket.Dialer{EnableCompression: compress, HandshakeTimeout: 10 * time.Second}
	c, _, err := dialer.Dial(url, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	pongs := 0
	c.SetPongHandler(func(text string) error { pongs++; return nil })
	if err := c.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(time.Second)); err != nil {
		log.Fatal(err)
	}
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, 1000000} {
		for _, kind := range []int{websocket.TextMessage, websocket.BinaryMessage} {
			data := make([]byte, size)
			for i := range data {
				data[i] = byte(rand.Intn(128))
			}
			if err := c.WriteMessage(kind, data); err != nil {
				log.Fatal(err)
			}
			got, back, err := c.ReadMessage()
			if err != nil || got != kind || !bytes.Equal(back, data) {
				log.Fatal("another message came back ", err)
			}
		}
	}
	c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4000, "done"), time.Now().Add(time.Second))
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, 4000) || pongs != 1 {
		log.Fatal("closed with ", err)
	}
}

func main() {
	run(os.Args[1], false)
	run(os.Args[1], true)
}
