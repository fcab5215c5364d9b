# SPDX-License-Identifier: MIT
def interview():
    name = yield 'What is your name?'
    place = yield f'Hello, {name}! Where do you live?'
    yield f'{name} from {place}, goodbye.'


talk = interview()
prompt = next(talk)
for answer in ('Ada', 'London'):
    print(prompt, '>', sep='\n', end=' ')
    print(answer)
    prompt = talk.send(answer)
print(prompt)
