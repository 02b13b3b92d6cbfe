
Æ

image/class/label

!
image/class/text

	PNEUMONIA

image/encoded

ÿØÿ

image/etiology	

viral

image/format

JPEG

image/height



image/path


a.jpeg

image/patient

p1
T
image/sha256D
B
@0000000000000000000000000000000000000000000000000000000000000000

image/width
